"""Materials with relative names into pictures: ids from paths, labels from class folders, splits by rule."""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from relume.core.errors import UserError
from relume.data.pictures import SPLITS, Material, Picture


def ids(names: Sequence[str]) -> list[str]:
    """`a/b/c.jpg` -> `a-b-c`, fit for a file's name; the extension stays where the id would stand for several pictures."""
    short = ["-".join(PurePosixPath(name).with_suffix("").parts) for name in names]
    counts = Counter(short)
    return [each if counts[each] == 1 else name.replace("/", "-") for each, name in zip(short, names, strict=True)]


def without_common_root(materials: Sequence[Material]) -> list[str]:
    """The names, less the one folder that holds everything (archives have one): it is no class."""
    names = [material.name for material in materials]
    tops = {name.split("/")[0] for name in names}
    if len(tops) == 1 and len(names) > 1 and all(name.count("/") >= 2 for name in names):
        return [name.split("/", 1)[1] for name in names]
    return names


def label(name: str) -> str:
    """The class folder; empty where pictures lie loose."""
    return PurePosixPath(name).parts[0] if "/" in name else ""


def every(materials: Sequence[Material], *, test_every: int, val_every: int) -> list[Picture]:
    """In sorted order every so-manieth picture is a test, and of the others every so-manieth is for validation."""
    names = without_common_root(materials)
    pictures, others = [], 0
    for number, (name, id, material) in enumerate(zip(names, ids(names), materials, strict=True), start=1):
        split = "train"
        if test_every and number % test_every == 0:
            split = "test"
        else:
            others += 1
            if val_every and others % val_every == 0:
                split = "val"
        pictures.append(Picture(id, split, label(name), name, material))
    return pictures


def by_folder(materials: Sequence[Material], shown: str) -> list[Picture]:
    """The tree's own `train/`, `val/` and `test/` (any of them), with or without class folders below."""
    names = [material.name for material in materials]
    while names and not {name.split("/")[0] for name in names} & set(SPLITS):
        if len({name.split("/")[0] for name in names}) > 1 or any("/" not in name for name in names):
            break
        names = [name.split("/", 1)[1] for name in names]
    foreign = sorted({name.split("/")[0] for name in names} - set(SPLITS))
    if foreign:
        raise UserError(f"{shown}: beside {', '.join(SPLITS)} there is {', '.join(foreign[:5])}")
    return [
        Picture(id, name.split("/")[0], label(name.split("/", 1)[1]), name, material)
        for name, id, material in zip(names, ids(names), materials, strict=True)
    ]


def classes(pictures: Sequence[Picture]) -> list[str]:
    return sorted({picture.label for picture in pictures} - {""})
