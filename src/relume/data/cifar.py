"""The CIFAR archives: pickles of rows of 3072 bytes, red plane first; what both CIFAR sources share."""

import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from relume.core.errors import UserError
from relume.core.unpickle import unpickle
from relume.data.archives import BROKEN
from relume.data.pictures import Picture, Pixels

SIDE = 32
LICENCE = "none stated by the owner; research use, cite Krizhevsky 2009"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What lies where in the archive."""

    folder: str
    train: Sequence[str]
    test: Sequence[str]
    meta: str
    names: str  # key of the classes in `meta`
    labels: str  # key of the labels in the others


def read(path: Path, layout: Layout) -> tuple[list[Picture], list[str]]:
    """All pictures in the archive's order, and the names of the classes."""
    batches = [("train", name) for name in layout.train] + [("test", name) for name in layout.test]
    files = _files(path, [f"{layout.folder}/{name}" for name in (layout.meta, *(name for _, name in batches))])
    classes = [_text(name) for name in _value(files[f"{layout.folder}/{layout.meta}"], layout.names, path)]
    pictures: list[Picture] = []
    counts = {"train": 0, "test": 0}
    for split, name in batches:
        for data, label in _rows(files[f"{layout.folder}/{name}"], layout, f"{path.name}: {name}"):
            id = f"{split}-{counts[split]:05d}"
            counts[split] += 1
            pictures.append(Picture(id, split, classes[label], id, Pixels(f"{path.name}: {id}", data, SIDE)))
    return pictures, classes


def _files(path: Path, wanted: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if name in wanted and (file := archive.extractfile(member)) is not None:
                    found[name] = _unpickled(file.read(), f"{path}: {name}")
    except (*BROKEN, OSError) as error:
        raise UserError(f"{path} is truncated or no tar archive ({error})") from None
    if lacking := [name for name in wanted if name not in found]:
        raise UserError(f"{path} lacks {', '.join(lacking)}")
    return found


def _unpickled(data: bytes, shown: str) -> dict[str, Any]:
    try:
        return unpickle(io.BytesIO(data), encoding="bytes")
    except ValueError as error:
        raise UserError(f"{shown}: {error}") from None


def _rows(batch: dict[str, Any], layout: Layout, shown: str) -> list[tuple[bytes, int]]:
    data, labels = np.asarray(_value(batch, "data", shown)), _value(batch, layout.labels, shown)
    if data.dtype != np.uint8 or data.shape != (len(labels), 3 * SIDE * SIDE):
        raise UserError(f"{shown}: {data.dtype} {data.shape} for {len(labels)} labels; rows of 3072 bytes are wanted")
    upright = data.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return [(pixels.tobytes(), int(label)) for pixels, label in zip(upright, labels, strict=True)]


def _value(mapping: dict[str, Any], key: str, shown: object) -> Any:
    if key not in mapping:
        raise UserError(f"{shown} lacks the key {key!r}")
    return mapping[key]


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
