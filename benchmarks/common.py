"""Shared by benchmarks on trees of photographs: the photographs as a dataset, and the provenance of a result."""

import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from relume.core.runtime import describe
from relume.data.decode import EXTENSIONS, decode, square
from relume.data.pictures import Contents, File, Picture, rng, shuffled
from relume.data.store import Dataset
from relume.data.write import write

THUMBNAIL, ALIKE = 16, 0.9  # pixels; correlation from which two pictures are one
CROPS = 16  # of each training photograph, where further pictures are learned from
FOLDERS = ("--folder", "--more", "--work", "--group", "--images", "--generator")


def prepare(
    folder: Path,
    out: Path,
    size: int,
    count: int | None,
    split: Callable[[int], str] = lambda at: "test",
    more: Path | None = None,
    balanced: bool = True,
    detail: float = 0.0,
) -> Dataset:
    """All images below `folder` (or the first `count`) in sorted order. `split` maps the position in this order to the split.
    `more`: a folder of further training pictures; `balanced`: as many of them as crops are taken of the photographs;
    `detail`: how much of the fine detail of a crop each of them gets."""
    pictures = [replace(one, split=split(at)) for at, one in enumerate(_pictures(folder, "")[:count])]
    if more is not None:
        learned = list(crops([one for one in pictures if one.split == "train"], folder, CROPS))
        held = [one for one in pictures if one.split != "train"]
        further = _unlike(shuffled(_pictures(more, f"{more.name}/"), 0)[: len(learned) if balanced else None], held)
        learned += list(detailed(further, learned, detail)) if detail else further
        pictures = [one for one in pictures if one.split != "train"] + shuffled(learned, 0)
    classes = sorted({picture.label for picture in pictures})
    contents = Contents(pictures=pictures, classes=classes, licence="unknown", origin=[])
    write(out, contents, name=out.name, size=size, short_side=short_side(size))
    return Dataset.open(out)


def _pictures(folder: Path, prefix: str) -> list[Picture]:
    """For training, in sorted order."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS):
        name = path.relative_to(folder).as_posix()
        material = File(name=name, path=path)
        found.append(Picture(prefix + name, "train", path.parent.name, prefix + name, material))
    return found


def _unlike(pictures: Sequence[Picture], held: Sequence[Picture]) -> list[Picture]:
    """Without those that are one of `held` at another size: public sets share pictures."""
    seen, kept = _thumbnails(pictures), np.ones(len(pictures), bool)
    for squashed in (True, False):
        kept &= (seen @ _thumbnails(held, squashed).T).max(1) < ALIKE
    return [one for one, keep in zip(pictures, kept, strict=True) if keep]


def _thumbnails(pictures: Sequence[Picture], squashed: bool = True) -> np.ndarray:
    """Of the whole picture or of its central square, as unit vectors: products are correlations."""
    rows = []
    for one in pictures:
        assert isinstance(one.material, File)
        image = decode(one.material.path.read_bytes())
        image = image if squashed else Image.fromarray(square(image, min(image.size)))
        rows.append(np.asarray(image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX), np.float32).ravel())
    table = np.stack(rows)
    table -= table.mean(1, keepdims=True)
    return table / np.linalg.norm(table, axis=1, keepdims=True).clip(1e-6)


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of an image file: `side` of its short side, at a place along both axes; numbers in [0, 1]."""

    name: str
    path: Path
    side: float
    place: tuple[float, float]

    def render(self, size: int, short_side: int | None) -> np.ndarray:
        image = decode(self.path.read_bytes())
        side = self.side * min(image.size)
        left, top = ((length - side) * at for length, at in zip(image.size, self.place, strict=True))
        box = (left, top, left + side, top + side)
        return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=box))


def crops(pictures: Sequence[Picture], root: Path, count: int) -> Iterator[Picture]:
    """Of each picture several training crops, by its name: 78 to 100 % of the short side, anywhere."""
    for picture in pictures:
        draws = rng(0, picture.id).random((count, 3)).tolist()
        for at, (shrunk, *place) in enumerate(draws):
            material = Crop(f"{picture.id}#{at}", root / picture.id, 1 - 0.22 * shrunk, (place[0], place[1]))
            yield replace(picture, id=material.name, material=material)


@dataclass(frozen=True, slots=True)
class Detailed:
    """An enlarged picture with the fine detail of a photograph: what the photograph loses when it is shrunk as far as the
    picture was. Detail stands in places where the picture has none, but a network's features are nearer to a photograph's."""

    name: str
    picture: File
    photograph: Crop
    gain: float

    def render(self, size: int, short_side: int | None) -> np.ndarray:
        own = decode(self.picture.path.read_bytes())
        enlarged, sharp = square(own, size, short_side), self.photograph.render(size, None)
        few = min(size, size * min(own.size) // (short_side or size))  # pixels of the picture on a side of the square
        shrunk = Image.fromarray(sharp).resize((few, few), Image.Resampling.BILINEAR)
        lost = sharp - np.asarray(shrunk.resize((size, size), Image.Resampling.BILINEAR), np.float32)
        return (enlarged + self.gain * lost).round().clip(0, 255).astype(np.uint8)


def detailed(pictures: Sequence[Picture], photographs: Sequence[Picture], gain: float) -> Iterator[Picture]:
    """Each with the detail of a crop that is drawn by its name."""
    for picture in pictures:
        other = photographs[int(rng(0, picture.id).integers(len(photographs)))].material
        assert isinstance(picture.material, File)
        assert isinstance(other, Crop)
        yield replace(picture, material=Detailed(picture.id, picture.material, other, gain))


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
