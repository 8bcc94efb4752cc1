"""Reads pickles of numpy arrays and plain data without running their code, in memory bounded by the size of the file."""

import pickle
import struct
from typing import IO, Any

import numpy as np

BROKEN = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError, struct.error, OverflowError,
    MemoryError,
)  # fmt: skip


# Functions of these names in numpy would take any size from the file: these do not.
ALLOWED: dict[str, Any] = {
    # the pickle fills it afterwards, by numpy's `__setstate__`, which compares the size of the data with the shape
    "multiarray._reconstruct": lambda kind, shape, dtype: np.zeros(0, np.uint8),
    "multiarray.scalar": lambda dtype, data: np.frombuffer(data, dtype)[0].item(),
    "numeric._frombuffer": lambda data, dtype, shape, order: np.frombuffer(data, dtype).reshape(shape, order=order),
}
ALLOWED = {f"numpy.{core}.{name}": made for name, made in ALLOWED.items() for core in ("core", "_core")} | {
    "numpy.ndarray": None,  # only named, by `_reconstruct`
    "numpy.dtype": np.dtype,
    "_codecs.encode": lambda text, encoding: text.encode("latin1"),
}


class _ArraysOnly(pickle._Unpickler):  # the one in C allocates whatever the file asks for
    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed; allowed: numpy arrays")
        return ALLOWED[f"{module}.{name}"]


def unpickle(file: IO[bytes], *, encoding: str = "ASCII") -> dict[str, Any]:
    """A mapping with string keys; raises ValueError for any other file. `encoding`: `bytes` for files of Python 2."""
    try:
        loaded = _ArraysOnly(file, encoding=encoding).load()
        if not isinstance(loaded, dict):
            raise ValueError(f"contains {type(loaded).__name__}, not a mapping")
        return {key.decode() if isinstance(key, bytes) else str(key): value for key, value in loaded.items()}
    except BROKEN as error:
        raise ValueError(f"not a pickle of arrays: {str(error) or type(error).__name__}") from None
