"""The pickles in the CIFAR archives, read without running anything: numpy arrays and plain data are admitted, nothing else."""

import pickle
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from relume.core.errors import UserError

RECONSTRUCT: Callable[..., Any] = np.zeros(0).__reduce__()[0]  # type: ignore[assignment]
ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
BROKEN = (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError)


class _Restricted(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"it names {module}.{name}; only numpy arrays are admitted")
        return ADMITTED[module, name]


def unpickle(file: IO[bytes], shown: str) -> dict[str, Any]:
    """A mapping, its keys as text: the archives were written by Python 2. `shown` names the file in messages."""
    try:
        loaded = _Restricted(file, encoding="bytes").load()
    except BROKEN as error:
        raise UserError(f"{shown} is no pickle of arrays: {error}") from None
    if not isinstance(loaded, dict):
        raise UserError(f"{shown} holds a {type(loaded).__name__}, not a mapping")
    return {key.decode() if isinstance(key, bytes) else str(key): value for key, value in loaded.items()}
