"""A source's pictures onto disk, `data/images/<dataset>/`: decoded by all cores, appended row by row, whole or absent.

Everything is written into a hidden folder beside the output, which takes its name only at the very end.
"""

import functools
import hashlib
import importlib.metadata
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from relume.core.errors import UserError
from relume.core.files import sha256, write_csv, write_json
from relume.data.decode import BadPicture
from relume.data.pictures import SPLITS, Contents, Picture
from relume.data.pool import ordered, workers
from relume.data.rows import Rows

COLUMNS = ("id", "split", "label", "source", "sha1")
NAMED = 20  # bad pictures that the message names


@dataclass
class Tally:
    """What is known while the rows go by."""

    index: list[dict[str, str]] = field(default_factory=list)
    bad: list[dict[str, str]] = field(default_factory=list)
    duplicates: list[dict[str, str]] = field(default_factory=list)
    seen: dict[str, tuple[str, str]] = field(default_factory=dict)  # sha1 -> id and split of the first


def write(
    folder: Path, contents: Contents, *, name: str, size: int, short_side: int | None = None, max_bad: int = 0
) -> dict[str, Any]:
    """Write the dataset and return its manifest. `name` is for messages and the progress bar."""
    pictures = sorted(contents.pictures, key=lambda picture: SPLITS.index(picture.split))
    _check(pictures, name)
    tally = Tally()
    with _whole(folder, need=len(pictures) * size * size * 3) as temporary:
        with Rows(temporary / "images.npy", size) as rows:
            for picture, result in _rendered(pictures, size=size, short_side=short_side, name=name):
                _take(picture, result, rows=rows, tally=tally)
                if len(tally.bad) >= max(NAMED, max_bad + 1):
                    break
        _stop_beyond(max_bad, tally.bad, name)
        if not tally.index:
            raise UserError(f"{name}: no picture was found")
        write_csv(temporary / "index.csv", COLUMNS, tally.index)
        manifest = _manifest(contents, tally, size=size, short_side=short_side)
        manifest["index_sha256"] = sha256(temporary / "index.csv")  # which holds every picture's sha1
        write_json(temporary / "manifest.json", manifest)
    return manifest


def _rendered(
    pictures: list[Picture], *, size: int, short_side: int | None, name: str
) -> Iterator[tuple[Picture, np.ndarray | str]]:
    """Each picture with its pixels, or with what is wrong with it."""
    function = functools.partial(render, size=size, short_side=short_side)
    processes = min(workers(), 1 + len(pictures) // 64)  # a process costs about a second to start
    results = ordered(function, (picture.material for picture in pictures), processes)
    yield from tqdm(zip(pictures, results, strict=True), desc=name, total=len(pictures), unit="picture", disable=None)


def render(material: Any, *, size: int, short_side: int | None) -> np.ndarray | str:
    """In a worker process: pixels, or what is wrong."""
    try:
        pixels = material.render(size, short_side)
    except BadPicture as error:
        return str(error)
    if pixels.dtype != np.uint8 or pixels.shape != (size, size, 3):
        raise ValueError(f"{material.name}: {pixels.dtype} {pixels.shape}")
    return np.ascontiguousarray(pixels)


def _take(picture: Picture, result: np.ndarray | str, *, rows: Rows, tally: Tally) -> None:
    """One row. The same pixels in two splits would leak: the later split loses them; within a split both stay."""
    if isinstance(result, str):
        tally.bad.append({"file": picture.material.name, "fault": result})
        return
    sha1 = hashlib.sha1(result.data, usedforsecurity=False).hexdigest()
    first, split = tally.seen.setdefault(sha1, (picture.id, picture.split))
    if first != picture.id:
        dropped = split != picture.split
        tally.duplicates.append({"id": picture.id, "of": first, "done": "left out" if dropped else "kept"})
        if dropped:
            return
    rows.append(result)
    row = (picture.id, picture.split, picture.label, picture.source, sha1)
    tally.index.append(dict(zip(COLUMNS, row, strict=True)))


def _stop_beyond(max_bad: int, bad: list[dict[str, str]], name: str) -> None:
    if len(bad) > max_bad:
        lines = [f"  {entry['file']}: {entry['fault']}" for entry in bad[:NAMED]]
        more = " or more" if len(bad) >= NAMED else ""
        head = f"{name}: {len(bad)}{more} bad pictures, prepare.max_bad allows {max_bad}:"
        raise UserError("\n".join([head, *lines, "mend or remove them, or raise prepare.max_bad to leave them out"]))


def _check(pictures: list[Picture], name: str) -> None:
    """Ids are unique, and no original is in two splits."""
    twice = [each for each, count in Counter(picture.id for picture in pictures).items() if count > 1]
    if twice:
        raise UserError(f"{name}: {len(twice)} ids stand for several pictures: {', '.join(twice[:NAMED])}")
    splits: dict[str, str] = {}
    for picture in pictures:
        if splits.setdefault(picture.source, picture.split) != picture.split:
            raise ValueError(f"{name}: {picture.source} is in {splits[picture.source]} and in {picture.split}")


def _manifest(contents: Contents, tally: Tally, *, size: int, short_side: int | None) -> dict[str, Any]:
    """No date, no place: equal inputs give equal bytes."""
    counts = Counter(row["split"] for row in tally.index)
    packages = ("numpy", "pillow", *contents.packages)
    return {
        "size": size,
        "short_side": short_side or size,
        "counts": {"all": len(tally.index)} | {split: counts[split] for split in SPLITS},
        "classes": contents.classes,
        "licence": contents.licence,
        "sources": contents.origin,
        "notes": contents.notes,
        "versions": {package: importlib.metadata.version(package) for package in packages},
        "bad": tally.bad,
        "duplicates": tally.duplicates,
    }


@contextmanager
def _whole(folder: Path, *, need: int) -> Iterator[Path]:
    """A folder to fill, renamed to `folder` when the block ends well, removed when it does not."""
    temporary = folder.with_name(f".{folder.name}.part")
    old = folder.with_name(f".{folder.name}.old")
    try:
        for left_over in (temporary, old):
            if left_over.exists():
                shutil.rmtree(left_over)
        temporary.mkdir(parents=True)
        free = shutil.disk_usage(temporary).free
        if need > free:
            raise UserError(f"{folder} needs {need / 2**20:.0f} MiB, its disk has {free / 2**20:.0f} MiB left")
        yield temporary
        if folder.exists():
            folder.rename(old)
        temporary.rename(folder)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
