"""Old files that are pickles of arrays, read without running anything: numpy arrays and plain data are admitted, nothing else."""

import pickle
from collections.abc import Callable
from typing import IO, Any

import numpy as np

RECONSTRUCT: Callable[..., Any] = np.zeros(0).__reduce__()[0]  # type: ignore[assignment]
ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
BROKEN = (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError)


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"it names {module}.{name}; only numpy arrays are admitted")
        return ADMITTED[module, name]


def unpickle(file: IO[bytes], *, encoding: str = "ASCII") -> dict[str, Any]:
    """A mapping with text keys; ValueError says what else the file is. `encoding`: `bytes` for what Python 2 wrote."""
    try:
        loaded = _ArraysOnly(file, encoding=encoding).load()
    except BROKEN as error:
        raise ValueError(f"no pickle of arrays: {error}") from None
    if not isinstance(loaded, dict):
        raise ValueError(f"no pickle of arrays: it holds a {type(loaded).__name__}, not a mapping")
    return {key.decode() if isinstance(key, bytes) else str(key): value for key, value in loaded.items()}
