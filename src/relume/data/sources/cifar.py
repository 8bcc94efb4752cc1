"""Sources `cifar10` and `cifar100`: the official python archives, or for CIFAR-10 a tree of JPEG copies."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from relume.core.errors import UserError
from relume.core.unpickle import unpickle
from relume.data.archives import images_in, members
from relume.data.config import Cifar10, Cifar100
from relume.data.locate import Archive, find
from relume.data.pictures import Contents, Picture, Pixels, held_out, limited
from relume.data.trees import by_folder, classes

SIDE = 32
LICENCE = "none stated by the owner; research use, cite Krizhevsky 2009"
URL = "https://www.cs.toronto.edu/~kriz"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """An official archive and the files in it: pickles with rows of 3072 bytes, red plane first."""

    official: Archive
    folder: str
    train: Sequence[str]
    test: Sequence[str]
    meta: str
    names: str  # key of the classes in `meta`
    labels: str  # key of the labels in the others


CIFAR10 = Layout(
    official=Archive(
        name="cifar-10-python.tar.gz",
        url=f"{URL}/cifar-10-python.tar.gz",
        md5="c58f30108f718f92721af3b95e74349a",
        describe="CIFAR-10, python version, 163 MiB",
    ),
    folder="cifar-10-batches-py",
    train=[f"data_batch_{number}" for number in range(1, 6)],
    test=["test_batch"],
    meta="batches.meta",
    names="label_names",
    labels="labels",
)
CIFAR100 = Layout(
    official=Archive(
        name="cifar-100-python.tar.gz",
        url=f"{URL}/cifar-100-python.tar.gz",
        md5="eb9058c3a382ffc7106e4002c42a8d85",
        describe="CIFAR-100, python version, 161 MiB",
    ),
    folder="cifar-100-python",
    train=["train"],
    test=["test"],
    meta="meta",
    names="fine_label_names",
    labels="fine_labels",
)
LAYOUTS = {"cifar10": CIFAR10, "cifar100": CIFAR100}


def contents(config: Cifar10 | Cifar100, scratch: Path) -> Contents:
    layout = LAYOUTS[config.source]
    path = find(config.archive, [layout.official], verify=config.verify)
    official = config.source == "cifar100" or config.archive == layout.official.name
    if official:
        pictures, names = read(path, layout)
    else:
        pictures = by_folder(images_in(path, scratch), str(path))
        names = classes(pictures)
    pictures = held_out(pictures, config.val, config.seed)
    return Contents(
        pictures=limited(pictures, {"test": config.test, "train": config.train}, config.seed),
        classes=names,
        licence=LICENCE,
        origin=[{"name": path.name, "md5": layout.official.md5 if official and config.verify else None}],
        notes=[] if official else ["JPEG copies: small compression losses against the original"],
    )


def read(path: Path, layout: Layout) -> tuple[list[Picture], list[str]]:
    """All images in the order of the archive, and the names of the classes."""
    batches = [("train", name) for name in layout.train] + [("test", name) for name in layout.test]
    files = _files(path, [f"{layout.folder}/{name}" for name in (layout.meta, *(name for _, name in batches))])
    names = _value(files[f"{layout.folder}/{layout.meta}"], layout.names, path)
    labels = [name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in names]
    pictures: list[Picture] = []
    counts = {"train": 0, "test": 0}
    for split, name in batches:
        shown = f"{path}: {layout.folder}/{name}"
        for record, (data, label) in enumerate(_rows(files[f"{layout.folder}/{name}"], layout, shown)):
            if label not in range(len(labels)):
                raise UserError(f"{shown}: record {record} has the label {label!r}; allowed: 0 to {len(labels) - 1}")
            id = f"{split}-{counts[split]:05d}"
            counts[split] += 1
            pictures.append(Picture(id, split, labels[int(label)], id, Pixels(f"{path.name}: {id}", data, SIDE)))
    return pictures, labels


def _files(path: Path, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, data in members(path, lambda name: name in names):
        try:
            found[name] = unpickle(io.BytesIO(data), encoding="bytes")
        except ValueError as error:
            raise UserError(f"{path}: {name}: {error}") from None
    if missing := [name for name in names if name not in found]:
        raise UserError(f"{path} lacks {', '.join(missing)}")
    return found


def _rows(batch: dict[str, Any], layout: Layout, shown: str) -> list[tuple[bytes, Any]]:
    data, labels = np.asarray(_value(batch, "data", shown)), list(_value(batch, layout.labels, shown))
    if data.dtype != np.uint8 or data.shape != (len(labels), 3 * SIDE * SIDE):
        raise UserError(f"{shown}: needs rows of 3072 bytes, got {data.dtype} {data.shape} for {len(labels)} labels")
    upright = data.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return [(pixels.tobytes(), label) for pixels, label in zip(upright, labels, strict=True)]


def _value(mapping: dict[str, Any], key: str, shown: object) -> Any:
    if not isinstance(mapping.get(key), list | np.ndarray):
        raise UserError(f"{shown} lacks the list {key!r}")
    return mapping[key]
