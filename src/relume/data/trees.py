"""Turns image files with relative names into rows: ids from paths, labels from class folders, splits by rule."""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from relume.core.errors import UserError
from relume.data.pictures import SPLITS, ImageSource, Picture


def ids(names: Sequence[str]) -> list[str]:
    """`a/b/c.jpg` -> `a-b-c`, valid as a file name; the extension is kept where the id would not be unique."""
    short = ["-".join(PurePosixPath(name).with_suffix("").parts) for name in names]
    counts = Counter(short)
    return [each if counts[each] == 1 else name.replace("/", "-") for each, name in zip(short, names, strict=True)]


def without_common_root(sources: Sequence[ImageSource]) -> list[str]:
    """The names without a folder that contains everything (archives often have one): it is not a class."""
    names = [source.name for source in sources]
    tops = {name.split("/")[0] for name in names}
    if len(tops) == 1 and len(names) > 1 and all(name.count("/") >= 2 for name in names):
        return [name.split("/", 1)[1] for name in names]
    return names


def label(name: str) -> str:
    """The class folder; empty if there is none."""
    return PurePosixPath(name).parts[0] if "/" in name else ""


def every(sources: Sequence[ImageSource], *, test_every: int, val_every: int) -> list[Picture]:
    """In sorted order: each `test_every`-th image is for testing, each `val_every`-th of the others for validation."""
    names = without_common_root(sources)
    pictures, others = [], 0
    for number, (name, id, source) in enumerate(zip(names, ids(names), sources, strict=True), start=1):
        split = "train"
        if test_every and number % test_every == 0:
            split = "test"
        else:
            others += 1
            if val_every and others % val_every == 0:
                split = "val"
        pictures.append(Picture(id, split, label(name), name, source))
    return pictures


def by_folder(sources: Sequence[ImageSource], shown: str) -> list[Picture]:
    """Splits by the folders `train/`, `val/` and `test/` (any of them), with or without class folders."""
    names = [source.name for source in sources]
    while names and not {name.split("/")[0] for name in names} & set(SPLITS):
        if len({name.split("/")[0] for name in names}) > 1 or any("/" not in name for name in names):
            break
        names = [name.split("/", 1)[1] for name in names]
    if unknown := sorted({name.split("/")[0] for name in names} - set(SPLITS)):
        raise UserError(f"{shown}: unknown folders {', '.join(unknown[:5])}; allowed: {', '.join(SPLITS)}")
    return [
        Picture(id, name.split("/")[0], label(name.split("/", 1)[1]), name, source)
        for name, id, source in zip(names, ids(names), sources, strict=True)
    ]


def classes(pictures: Sequence[Picture]) -> list[str]:
    return sorted({picture.label for picture in pictures} - {""})
