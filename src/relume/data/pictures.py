"""Descriptions of images, which sources pass to the writer; worker processes decode them."""

import functools
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
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

LARGEST = 1 << 28  # bytes of one file of a source: what claims more is not read
# what a corrupt archive raises; of a zip archive also one with a password, or with a compression that Python does not know
BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError, RuntimeError, UnicodeDecodeError
)  # fmt: skip
SPLITS = ("test", "val", "train")  # in the order of the rows; an image in two splits stays in the earlier one


class ImageSource(Protocol):
    """Where an image comes from. Messages show `name`; `render` may raise BadPicture."""

    @property
    def name(self) -> str: ...

    def render(self, size: int, short_side: int | None) -> np.ndarray: ...


@dataclass(frozen=True, slots=True)
class Picture:
    """One row of the dataset. `source` is the original of the image: no two splits share one."""

    id: str
    split: str
    label: str
    source: str
    material: ImageSource


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The images and metadata of a source."""

    pictures: list[Picture]
    classes: list[str]
    licence: str
    origin: list[dict[str, Any]]  # the original files; for the manifest
    notes: list[str] = field(default_factory=list)
    packages: tuple[str, ...] = ()  # the pixels depend on their versions, and on numpy and pillow


@dataclass(frozen=True, slots=True)
class File:
    """An image file."""

    name: str
    path: Path

    def render(self, size: int, short_side: int | None) -> np.ndarray:
        return square(decode(_read(self.path)), size, short_side)


@dataclass(frozen=True, slots=True)
class Slice:
    """A range of bytes of an uncompressed archive, which may consist of several parts: (path, size)."""

    name: str
    parts: tuple[tuple[Path, int], ...]
    offset: int
    length: int

    def read(self) -> bytes:
        check_size(self.length)
        with io.BufferedReader(Joined(self.parts)) as joined:
            joined.seek(self.offset)
            data = joined.read(self.length)
        if missing := self.length - len(data):
            raise BadPicture(f"truncated: {missing} of {self.length} bytes are missing")
        return data

    def render(self, size: int, short_side: int | None) -> np.ndarray:
        return square(decode(self.read()), size, short_side)


@dataclass(frozen=True, slots=True)
class Zipped:
    """A member of a zip archive."""

    name: str
    archive: Path
    member: str

    def render(self, size: int, short_side: int | None) -> np.ndarray:
        return square(decode(unzip(self.archive, self.member)), size, short_side)


@dataclass(frozen=True, slots=True)
class Pixels:
    """uint8 (H, W, 3) as raw bytes, already decoded."""

    name: str
    data: bytes
    side: int

    def render(self, size: int, short_side: int | None) -> np.ndarray:
        pixels = np.frombuffer(self.data, np.uint8).reshape(self.side, self.side, 3)
        return square(Image.fromarray(pixels), size, short_side)


class Joined(io.RawIOBase):
    """Files read as one, end to end: the parts of a split archive."""

    def __init__(self, parts: Sequence[tuple[Path, int]]) -> None:
        self._parts, self._at, self._total = parts, 0, sum(size for _, size in parts)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._total}[whence] + offset
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Reads from one part only; `BufferedReader` calls it again for the next."""
        start = 0
        for path, size in self._parts:
            if self._at < start + size:
                with path.open("rb") as file:
                    file.seek(self._at - start)
                    got = file.readinto(buffer)
                self._at += got
                return got
            start += size
        return 0


def check_size(size: int) -> None:
    if size > LARGEST:
        raise BadPicture(f"it has {size} bytes; at most {LARGEST} are read")


def unzip(path: Path, member: str) -> bytes:
    """A member of a zip archive, in memory bounded by LARGEST: zipfile reads no more than the size that was checked."""
    try:
        archive = opened(path)
        check_size(archive.getinfo(member).file_size)
        return archive.read(member)
    except (*BROKEN, OSError) as error:
        raise BadPicture(f"{path} cannot be read here ({error}): pack it again, by deflate and without a password") from None


def _read(path: Path) -> bytes:
    try:
        check_size(path.stat().st_size)
        return path.read_bytes()
    except OSError as error:
        raise BadPicture(f"cannot be read ({error.strerror or error})") from None


@functools.lru_cache(maxsize=2)
def opened(archive: Path) -> zipfile.ZipFile:
    """One handle per process: reading the directory of a large archive takes a second."""
    return zipfile.ZipFile(archive)


def rng(seed: int, *keys: object) -> np.random.Generator:
    """An independent generator for each combination of keys."""
    return np.random.default_rng(int(digest([seed, *map(str, keys)]), 16))


def shuffled(pictures: Iterable[Picture], seed: int) -> list[Picture]:
    """In random order by `seed`, independent of the input order: the first n are a random sample for every n."""
    return sorted(pictures, key=lambda picture: digest([seed, picture.id]))


def round_robin(pictures: Sequence[Picture]) -> list[Picture]:
    """One image of every class, then another of every class, and so on; the order within a class is kept."""
    counts = Counter[str]()
    turns = []
    for picture in pictures:
        turns.append(counts[picture.label])
        counts[picture.label] += 1
    return [pictures[number] for number in sorted(range(len(pictures)), key=turns.__getitem__)]


def held_out(pictures: Sequence[Picture], count: int, seed: int, *, split: str = "val", evenly: bool = False) -> list[Picture]:
    """Moves `count` training images to another split. `evenly`: the same number from every class, up to one."""
    train = shuffled((picture for picture in pictures if picture.split == "train"), seed)
    train = round_robin(train) if evenly else train
    if count > len(train):
        raise UserError(f"{split}: needs {count} images, {len(train)} are left")
    held = {picture.id for picture in train[:count]}
    return [replace(picture, split=split) if picture.id in held else picture for picture in pictures]


def limited(pictures: Sequence[Picture], limits: dict[str, int | None], seed: int) -> list[Picture]:
    """At most `limits[split]` images of each split (None: all), in random order by `seed`."""
    chosen: list[Picture] = []
    for split in SPLITS:
        candidates = shuffled((picture for picture in pictures if picture.split == split), seed)
        limit = limits.get(split)
        if limit is not None and limit > len(candidates):
            raise UserError(f"{split}: needs {limit} images, the source has {len(candidates)}")
        chosen += candidates[:limit]
    return chosen
