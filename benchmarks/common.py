"""Shared by benchmarks on trees of photographs: the photographs as a dataset, and the provenance of a result."""

import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from relume.core.runtime import describe
from relume.data.decode import EXTENSIONS
from relume.data.pictures import Contents, File, Picture
from relume.data.store import Dataset
from relume.data.write import write

FOLDERS = ("--folder", "--work", "--group", "--images", "--generator")


def prepare(folder: Path, out: Path, size: int, count: int | None, split: Callable[[int], str] = lambda at: "test") -> Dataset:
    """All images below `folder` (or the first `count`) in sorted order. `split` maps the position in this order to the split."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS)[:count]
    pictures = []
    for at, path in enumerate(files):
        name = path.relative_to(folder).as_posix()
        material = File(name=name, path=path)
        pictures.append(Picture(id=name, split=split(at), label=path.parent.name, source=name, material=material))
    classes = sorted({picture.label for picture in pictures})
    contents = Contents(pictures=pictures, classes=classes, licence="unknown", origin=[])
    write(out, contents, name=out.name, size=size, short_side=short_side(size))
    return Dataset.open(out)


def short_side(size: int) -> int:
    """Length of the short side before the centre crop of `size`: 256 for 224."""
    return size * 256 // 224


def commit() -> str:
    """The commit of the running code, marked if the tree has uncommitted changes. Called before the work."""
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def provenance(
    program: str, dataset: Dataset, *, n: int, data: str, device: torch.device, at: str, seconds: float
) -> dict[str, object]:
    """The `.json` beside a table. `data` is appended to the number and size of the pictures."""
    shown = f"{dataset.name}: {n} photographs, short side {short_side(dataset.size)}, centre {dataset.size} px"
    return {
        "command": command(program),
        "commit": at,
        "data": f"{shown}; {data}",
        "n": n,
        "device": describe(device),
        "seconds": round(seconds, 1),
    }


def command(program: str) -> str:
    """The command line, with folder names instead of paths."""
    return shlex.join(["python", "-m", program, *_options(sys.argv[1:])])


def _options(given: Sequence[str]) -> list[str]:
    """The options as given; folders without their parents, because paths belong to one machine."""
    return [
        Path(option).resolve().name if before in FOLDERS else option for before, option in zip(["", *given], given, strict=False)
    ]
