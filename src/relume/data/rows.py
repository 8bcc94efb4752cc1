"""A `.npy` file of images, written row by row; the header gets the number of rows at the end."""

import io
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np


class Rows:
    """A context manager. After an error, the header says 0 rows."""

    def __init__(self, path: Path, size: int) -> None:
        self.path, self.size, self.count = path, size, 0

    def __enter__(self) -> Self:
        self._file = self.path.open("wb")
        self._file.write(self._header(0))
        return self

    def append(self, pixels: np.ndarray) -> None:
        if pixels.dtype != np.uint8 or pixels.shape != (self.size, self.size, 3):
            raise ValueError(f"needs uint8 ({self.size}, {self.size}, 3), got {pixels.dtype} {pixels.shape}")
        self._file.write(pixels.data)
        self.count += 1

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        with self._file:
            if kind is None:
                self._file.seek(0)
                self._file.write(self._header(self.count))

    def _header(self, count: int) -> bytes:
        """Its length does not depend on `count`: the format pads the first axis."""
        shape = (count, self.size, self.size, 3)
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
        return buffer.getvalue()
