"""Members of archives: read in place by offset where the archive is uncompressed, pickles only as far as they are numpy's."""

import io
import pickle
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from relume.core.errors import UserError
from relume.data.decode import EXTENSIONS
from relume.data.pictures import File, Material, Slice, Zipped

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".zip")
BROKEN = (tarfile.TarError, EOFError, zipfile.BadZipFile)
NUMPY = frozenset(["_reconstruct", "ndarray", "dtype", "scalar", "_frombuffer"])


def is_archive(path: Path) -> bool:
    return path.name.lower().endswith(ARCHIVES)


def is_picture(name: str) -> bool:
    """By its name; hidden files (also macOS's `._x.jpg`) are none."""
    path = Path(name)
    return path.suffix.lower() in EXTENSIONS and not any(part.startswith(".") for part in path.parts if part != ".")


def pictures_in(path: Path, scratch: Path) -> list[Material]:
    """Every picture below a folder or inside an archive, by its relative name, sorted."""
    if path.is_dir():
        files = (file for file in path.rglob("*") if file.is_file())
        named = [(file.relative_to(path).as_posix(), file) for file in files]
        found: list[Material] = [File(name, file) for name, file in named if is_picture(name)]
    elif path.suffix.lower() == ".zip":
        found = [member for member in zipped(path) if is_picture(member.name)]
    else:
        found = [member for member in slices([plain_tar(path, scratch)]) if is_picture(member.name)]
    return sorted(found, key=lambda material: material.name)


def zipped(path: Path) -> list[Zipped]:
    try:
        with zipfile.ZipFile(path) as archive:
            return [Zipped(info.filename, path, info.filename) for info in archive.infolist() if not info.is_dir()]
    except BROKEN as error:
        raise UserError(f"{path} is truncated or no zip archive ({error})") from None


def slices(paths: Sequence[Path]) -> list[Slice]:
    """The files in an uncompressed tar archive, which may be divided into parts."""
    sizes = tuple((path, path.stat().st_size) for path in paths)
    shown = str(paths[0]) if len(paths) == 1 else f"{paths[0]} … {paths[-1].name}"
    try:
        with Joined(sizes) as joined, tarfile.open(fileobj=joined, mode="r:") as archive:
            members = [(member.name, member.offset_data, member.size) for member in archive if member.isreg()]
    except BROKEN as error:
        raise UserError(f"{shown} is truncated or no tar archive ({error})") from None
    total = sum(size for _, size in sizes)
    if members and members[-1][1] + members[-1][2] > total:
        raise UserError(f"{shown} is truncated: {members[-1][0]} goes beyond its end")
    return [Slice(name.removeprefix("./"), sizes, offset, length) for name, offset, length in members]


def plain_tar(path: Path, scratch: Path) -> Path:
    """The archive itself where it is uncompressed; else an uncompressed copy in `scratch`, so that all cores can read it."""
    import bz2
    import gzip
    import lzma

    openers = {".gz": gzip.open, ".tgz": gzip.open, ".xz": lzma.open, ".txz": lzma.open, ".bz2": bz2.open}
    opener = openers.get(path.suffix.lower())
    if opener is None:
        return path
    copy = scratch / f"{path.name}.plain.tar"
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        with opener(path) as packed, copy.open("wb") as file:  # type: ignore[operator]
            shutil.copyfileobj(packed, file, 1 << 20)
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError) as error:
        raise UserError(f"{path} is truncated or corrupt ({error})") from None
    except OSError as error:
        raise UserError(f"{path} could not be unpacked into {scratch}: {error.strerror or error}") from error
    return copy

