"""A `.npy` file of pictures that grows row by row; how many there are is written into the header at the end."""

import io
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np


class Rows:
    """Use as a context. A file left by a broken-off block says that it holds no rows."""

    def __init__(self, path: Path, size: int) -> None:
        self.path, self.size, self.count = path, size, 0

    def __enter__(self) -> Self:
        self._file = self.path.open("wb")
        self._file.write(self._header(0))
        return self

    def append(self, pixels: np.ndarray) -> None:
        if pixels.dtype != np.uint8 or pixels.shape != (self.size, self.size, 3):
            raise ValueError(f"uint8 ({self.size}, {self.size}, 3) is wanted, got {pixels.dtype} {pixels.shape}")
        self._file.write(pixels.data)
        self.count += 1

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        with self._file:
            if kind is None:
                self._file.seek(0)
                self._file.write(self._header(self.count))

    def _header(self, count: int) -> bytes:
        """Of one length for every count: the format leaves room for the first axis to grow."""
        shape = (count, self.size, self.size, 3)
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
        return buffer.getvalue()
