"""Reads pickles of numpy arrays and plain data without running their code."""

import pickle
from collections.abc import Callable
from typing import IO, Any

import numpy as np

RECONSTRUCT: Callable[..., Any] = np.zeros(0).__reduce__()[0]  # type: ignore[assignment]
ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
BROKEN = (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError)


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed; allowed: numpy arrays")
        return ALLOWED[module, name]


def unpickle(file: IO[bytes], *, encoding: str = "ASCII") -> dict[str, Any]:
    """A mapping with string keys; raises ValueError for any other file. `encoding`: `bytes` for files of Python 2."""
    try:
        loaded = _ArraysOnly(file, encoding=encoding).load()
    except BROKEN as error:
        raise ValueError(f"not a pickle of arrays: {error}") from None
    if not isinstance(loaded, dict):
        raise ValueError(f"not a pickle of arrays: contains {type(loaded).__name__}, not a mapping")
    return {key.decode() if isinstance(key, bytes) else str(key): value for key, value in loaded.items()}
