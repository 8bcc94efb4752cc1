"""Reads a prepared dataset: memory-mapped images, one index row per image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from torch import Tensor

from relume.core.errors import UserError, one_of
from relume.core.files import read_csv, read_json, sha256
from relume.core.images import to_float


def batches(rows: Sequence[int], size: int) -> Iterator[list[int]]:
    """The rows in parts of at most `size`, in order."""
    return (list(rows[at : at + size]) for at in range(0, len(rows), size))


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
        """Checks that the three files exist and agree."""
        manifest = read_json(folder / "manifest.json")
        index = read_csv(folder / "index.csv")
        try:
            images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
            size, count, index_sha256 = manifest["size"], manifest["counts"]["all"], manifest["index_sha256"]
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{folder} is incomplete ({error}): run its stage again") from None
        expected = (count, size, size, 3)
        if images.shape != expected or images.dtype != np.uint8 or len(index) != count:
            found = f"{images.dtype} {images.shape} and {len(index)} index rows"
            raise UserError(f"{folder} is incomplete: {found}, the manifest has {expected}: run its stage again")
        if sha256(folder / "index.csv") != index_sha256:
            raise UserError(f"{folder}: index.csv does not match the manifest: run its stage again")
        return cls(name=folder.resolve().name, size=size, images=images, index=index, manifest=manifest)

    def select(self, split: str, count: int | None = None) -> list[int]:
        """The first `count` rows of a split (None: all). Their order is random, so they are a random sample."""
        rows = [number for number, row in enumerate(self.index) if row["split"] == split]
        if not rows:
            splits = {row["split"] for row in self.index}
            raise UserError(f"dataset {self.name}: no images in split {split!r}; {one_of(splits, split)}")
        if count is not None and not 1 <= count <= len(rows):
            raise UserError(f"dataset {self.name}: needs {count} images of {split}, the dataset has {len(rows)}")
        return rows[:count]

    def chosen(self, config: Any) -> list[int]:
        """The rows that a section names by `dataset`, `split` and `count`."""
        if self.name != config.dataset:
            raise UserError(f"needs images of {config.dataset}, but --images holds {self.name}")
        return self.select(config.split, config.count)

    def pixels(self, rows: list[int]) -> Tensor:
        """float32 (len(rows), 3, H, W) in [0, 1]."""
        return to_float(self.images[rows])

    def ids(self, rows: list[int]) -> list[str]:
        return [self.index[row]["id"] for row in rows]

    def sources(self) -> dict[str, str]:
        """id -> the original of the image; crops of one photograph are not independent."""
        return {row["id"]: row["source"] for row in self.index}
