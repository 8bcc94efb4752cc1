"""What a source hands to the writer: pictures as light descriptions, which a worker process turns into pixels."""

import functools
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from relume.core.errors import UserError
from relume.core.files import digest
from relume.data.decode import BadPicture, decode, square

SPLITS = ("test", "val", "train")  # in the order of the rows; where one picture is in two splits, the earlier keeps it


class Material(Protocol):
    """Where a picture comes from. `name` is what messages call it; `render` may raise BadPicture."""

    @property
    def name(self) -> str: ...

    def render(self, size: int, short_side: int | None) -> np.ndarray: ...


@dataclass(frozen=True, slots=True)
class Picture:
    """One row to be. `source` is the original that it was made from: no two splits share one."""

    id: str
    split: str
    label: str
    source: str
    material: Material


@dataclass(frozen=True, kw_only=True)
class Contents:
    """All that a source has to say."""

    pictures: list[Picture]
    classes: list[str]
    licence: str
    origin: list[dict[str, Any]]  # the files that it was made from; goes into the manifest
    notes: list[str] = field(default_factory=list)
    packages: tuple[str, ...] = ()  # whose versions the pixels depend on, beside numpy and pillow


@dataclass(frozen=True, slots=True)
class File:
    """A picture file of its own."""

    name: str
    path: Path

    def render(self, size: int, short_side: int | None) -> np.ndarray:
        return square(decode(_read(self.path)), size, short_side)


@dataclass(frozen=True, slots=True)
class Slice:
    """A stretch of an uncompressed archive, which may lie in several parts: [(path, size), ...]."""

    name: str
    parts: tuple[tuple[Path, int], ...]
    offset: int
    length: int

    def read(self) -> bytes:
        found, start, left = [], self.offset, self.length
        for path, size in self.parts:
            if start < size and left:
                with path.open("rb") as file:
                    file.seek(start)
                    found.append(file.read(min(left, size - start)))
                left -= len(found[-1])
            start = max(0, start - size)
        if left:
            raise BadPicture(f"truncated: {left} of {self.length} bytes are missing")
        return b"".join(found)

    def render(self, size: int, short_side: int | None) -> np.ndarray:
        return square(decode(self.read()), size, short_side)


@dataclass(frozen=True, slots=True)
class Zipped:
    """A member of a zip archive."""

    name: str
    archive: Path
    member: str

    def render(self, size: int, short_side: int | None) -> np.ndarray:
        try:
            data = _opened(self.archive).read(self.member)
        except (zipfile.BadZipFile, EOFError) as error:
            raise BadPicture(f"truncated or corrupt ({error})") from None
        return square(decode(data), size, short_side)


@dataclass(frozen=True, slots=True)
class Pixels:
    """uint8 (H, W, 3) as raw bytes, already decoded."""

    name: str
    data: bytes
    side: int

    def render(self, size: int, short_side: int | None) -> np.ndarray:
        pixels = np.frombuffer(self.data, np.uint8).reshape(self.side, self.side, 3)
        return square(Image.fromarray(pixels), size, short_side)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadPicture(f"cannot be read ({error.strerror or error})") from None


@functools.lru_cache(maxsize=2)
def _opened(archive: Path) -> zipfile.ZipFile:
    """One handle per process: the directory of a large archive takes a second to read."""
    return zipfile.ZipFile(archive)


def rng(seed: int, *keys: object) -> np.random.Generator:
    """A generator of its own for each thing that is drawn for."""
    return np.random.default_rng(int(digest([seed, *map(str, keys)]), 16))


def drawn(pictures: Iterable[Picture], seed: int) -> list[Picture]:
    """In an order drawn by the seed, the same whatever order they come in: any first n are then a random sample."""
    return sorted(pictures, key=lambda picture: digest([seed, picture.id]))


def in_turn(pictures: Sequence[Picture]) -> list[Picture]:
    """One of every class, then another of every class, and so on; within a class the order stays."""
    seen = Counter[str]()
    turns = []
    for picture in pictures:
        turns.append(seen[picture.label])
        seen[picture.label] += 1
    return [pictures[number] for number in sorted(range(len(pictures)), key=turns.__getitem__)]


def held_out(pictures: Sequence[Picture], count: int, seed: int, *, split: str = "val", evenly: bool = False) -> list[Picture]:
    """`count` of the training pictures go over to another split; `evenly`: as many of every class, up to one."""
    train = drawn((picture for picture in pictures if picture.split == "train"), seed)
    train = in_turn(train) if evenly else train
    if count > len(train):
        raise UserError(f"{split}: {count} pictures are wanted, but there are only {len(train)} to take them from")
    held = {picture.id for picture in train[:count]}
    return [replace(picture, split=split) if picture.id in held else picture for picture in pictures]


def limited(pictures: Sequence[Picture], limits: dict[str, int | None], seed: int) -> list[Picture]:
    """At most so many of each split, drawn by the seed; None is all. Rows of a split stand in the drawn order."""
    chosen: list[Picture] = []
    for split in SPLITS:
        there = drawn((picture for picture in pictures if picture.split == split), seed)
        limit = limits.get(split)
        if limit is not None and limit > len(there):
            raise UserError(f"{split}: {limit} pictures are wanted, but the source has only {len(there)}")
        chosen += there[:limit]
    return chosen
