"""Writes the images of a source to `data/images/<dataset>/`: decoded by worker processes, appended row by row, atomically."""

import functools
import hashlib
import importlib.metadata
import multiprocessing
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from tqdm import tqdm

from relume.core.errors import UserError
from relume.core.files import atomic_folder, check_space, sha256, write_csv, write_json
from relume.core.process import end_with_parent
from relume.data.decode import BadPicture
from relume.data.pictures import SPLITS, Contents, Picture

T = TypeVar("T")
R = TypeVar("R")
CHUNK = 8  # tasks per submission


def workers() -> int:
    """RELUME_WORKERS, else the number of available cores."""
    given = os.environ.get("RELUME_WORKERS", "")
    if given and not (given.isdigit() and int(given)):
        raise UserError(f"RELUME_WORKERS={given}: must be a positive integer")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(given) if given else cores


def ordered(function: Callable[[T], R], tasks: Iterable[T], processes: int) -> Iterator[R]:
    """`map` over `processes`, in order; at most 4 chunks per process are pending. One process uses no pool."""
    if processes == 1:
        yield from map(function, tasks)
        return
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")  # fork is unsafe with threads
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=end_with_parent)
    pending: deque[Future[list[R]]] = deque()
    try:
        for chunk in _chunks(tasks):
            pending.append(pool.submit(_each, function, chunk))
            if len(pending) >= 4 * processes:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    except BrokenProcessPool:
        raise UserError("a worker process was killed (out of memory?): set RELUME_WORKERS to fewer processes") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _each(function: Callable[[T], R], chunk: list[T]) -> list[R]:
    return [function(task) for task in chunk]


def _chunks(tasks: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(tasks)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def header(file: IO[bytes], count: int, size: int) -> None:
    """Of `images.npy`. Its length does not depend on `count`: the format pads the first axis."""
    shape = (count, size, size, 3)
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


COLUMNS = ("id", "split", "label", "source", "sha1")
LISTED = 20  # bad images that the message lists


@dataclass
class Tally:
    """The rows written so far, and the bad and duplicate images."""

    index: list[dict[str, str]] = field(default_factory=list)
    bad: list[dict[str, str]] = field(default_factory=list)
    duplicates: list[dict[str, str]] = field(default_factory=list)
    seen: dict[str, tuple[str, str]] = field(default_factory=dict)  # sha1 -> id and split of its first image


def write(
    folder: Path,
    contents: Contents,
    *,
    name: str,
    size: int,
    short_side: int | None = None,
    max_bad: int = 0,
    processes: int | None = None,
) -> dict[str, Any]:
    """Writes the dataset and returns its manifest. `name` is for messages and the progress bar."""
    pictures = sorted(contents.pictures, key=lambda picture: SPLITS.index(picture.split))
    _check(pictures, name)
    tally = Tally()
    with atomic_folder(folder) as temporary:
        check_space(folder, len(pictures) * size * size * 3)
        with (temporary / "images.npy").open("wb") as rows:
            header(rows, 0, size)
            function = functools.partial(render, size=size, short_side=short_side)
            processes = processes or min(workers(), 1 + len(pictures) // 64)  # a process takes about a second to start
            results = ordered(function, (picture.material for picture in pictures), processes)
            both = zip(pictures, results, strict=True)
            for picture, result in tqdm(both, desc=name, total=len(pictures), unit="image", disable=None):
                _take(picture, result, rows=rows, tally=tally)
                if len(tally.bad) >= max(LISTED, max_bad + 1):
                    break
            rows.seek(0)
            header(rows, len(tally.index), size)
        if len(tally.bad) > max_bad:
            lines = [f"  {entry['file']}: {entry['fault']}" for entry in tally.bad[:LISTED]]
            more = " or more" if len(tally.bad) >= LISTED else ""
            head = f"{name}: {len(tally.bad)}{more} bad pictures, prepare.max_bad allows {max_bad}:"
            raise UserError("\n".join([head, *lines, "repair or remove them, or raise prepare.max_bad to skip them"]))
        if not tally.index:
            raise UserError(f"{name}: no images found")
        write_csv(temporary / "index.csv", COLUMNS, tally.index)
        manifest = _manifest(contents, tally, size=size, short_side=short_side)
        manifest["index_sha256"] = sha256(temporary / "index.csv")  # it contains the sha1 of every image
        write_json(temporary / "manifest.json", manifest)
    return manifest


def render(source: Any, *, size: int, short_side: int | None) -> np.ndarray | str:
    """In a worker process: pixels, or an error message."""
    try:
        pixels = source.render(size, short_side)
    except BadPicture as error:
        return str(error)
    if pixels.dtype != np.uint8 or pixels.shape != (size, size, 3):
        raise ValueError(f"{source.name}: {pixels.dtype} {pixels.shape}")
    return np.ascontiguousarray(pixels)


def _take(picture: Picture, result: np.ndarray | str, *, rows: IO[bytes], tally: Tally) -> None:
    """Adds one row. Equal images in two splits are a leak, so the later split drops its image; within a split both stay."""
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
    rows.write(result.data)
    row = (picture.id, picture.split, picture.label, picture.source, sha1)
    tally.index.append(dict(zip(COLUMNS, row, strict=True)))


def _check(pictures: list[Picture], name: str) -> None:
    """Ids are unique, and no original is in two splits."""
    twice = [each for each, count in Counter(picture.id for picture in pictures).items() if count > 1]
    if twice:
        raise UserError(f"{name}: {len(twice)} ids are not unique: {', '.join(twice[:LISTED])}")
    splits: dict[str, str] = {}
    for picture in pictures:
        try:
            f"{picture.id}{picture.source}".encode()
        except UnicodeEncodeError:
            raise UserError(f"{name}: the name {os.fsencode(picture.source)!r} is not UTF-8: rename this file") from None
        if splits.setdefault(picture.source, picture.split) != picture.split:
            raise ValueError(f"{name}: {picture.source} is in {splits[picture.source]} and in {picture.split}")


def _manifest(contents: Contents, tally: Tally, *, size: int, short_side: int | None) -> dict[str, Any]:
    """Equal inputs give equal bytes: no date, no path."""
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
