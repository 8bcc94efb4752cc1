"""A prepared dataset as its readers see it: pixels memory-mapped, one index row per picture."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from torch import Tensor

from relume.core.errors import UserError, one_of
from relume.core.files import read_csv, read_json, sha256
from relume.core.images import to_float


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """`data/images/<name>/`."""

    name: str
    size: int
    images: np.ndarray  # uint8 (N, H, W, 3), memory-mapped
    index: list[dict[str, str]]  # id, split, label, source, sha1
    manifest: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Checks that the three files are there and speak of the same pictures."""
        manifest = read_json(folder / "manifest.json")
        index = read_csv(folder / "index.csv")
        try:
            images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
            size, count, index_sha256 = manifest["size"], manifest["counts"]["all"], manifest["index_sha256"]
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{folder} is not whole ({error}): run its stage again") from None
        wanted = (count, size, size, 3)
        if images.shape != wanted or images.dtype != np.uint8 or len(index) != count:
            found = f"{images.dtype} {images.shape} and {len(index)} index rows"
            raise UserError(f"{folder} is not whole: {found}, the manifest says {wanted}: run its stage again")
        if sha256(folder / "index.csv") != index_sha256:
            raise UserError(f"{folder}: index.csv is not the one that the manifest speaks of: run its stage again")
        return cls(name=folder.resolve().name, size=size, images=images, index=index, manifest=manifest)

    def select(self, split: str, count: int | None = None) -> list[int]:
        """The first `count` rows of a split (None: all). Their order was drawn: a fair sample."""
        rows = [number for number, row in enumerate(self.index) if row["split"] == split]
        if not rows:
            there = {row["split"] for row in self.index}
            raise UserError(f"dataset {self.name} has no pictures in split {split!r}; {one_of(there, split)}")
        if count is not None and not 1 <= count <= len(rows):
            raise UserError(f"dataset {self.name}: {count} pictures of {split} are wanted; there are {len(rows)}")
        return rows[:count]

    def pixels(self, rows: list[int]) -> Tensor:
        """float32 (len(rows), 3, H, W) in [0, 1]."""
        return to_float(self.images[rows])

    def ids(self, rows: list[int]) -> list[str]:
        return [self.index[row]["id"] for row in rows]

    def sources(self) -> dict[str, str]:
        """id -> the original that the picture was made from; crops of one photograph are not independent."""
        return {row["id"]: row["source"] for row in self.index}
