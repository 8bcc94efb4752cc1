"""The images in folders and archives. Members of a tar are read by offset, in parallel."""

import bz2
import gzip
import io
import lzma
import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from relume.core.errors import UserError
from relume.data.decode import EXTENSIONS
from relume.data.pictures import BROKEN, LARGEST, File, ImageSource, Joined, Slice, Zipped, opened

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".zip")
UNPACK = {".gz": gzip.open, ".tgz": gzip.open, ".xz": lzma.open, ".txz": lzma.open, ".bz2": bz2.open}


def is_archive(path: Path) -> bool:
    return path.name.lower().endswith(ARCHIVES)


def is_image(name: str) -> bool:
    """By its extension. Hidden files (also macOS's `._x.jpg`) are skipped."""
    path = Path(name)
    return path.suffix.lower() in EXTENSIONS and not any(part.startswith(".") for part in path.parts if part != ".")


def images_in(path: Path, scratch: Path) -> list[ImageSource]:
    """All images in a folder or archive, sorted by relative name."""
    found: list[ImageSource]
    if path.is_dir():
        found = [File(file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file()]
    elif path.suffix.lower() == ".zip":
        found = [*zipped(path)]
    else:
        found = [*slices([plain_tar(path, scratch)])]
    return sorted((source for source in found if is_image(source.name)), key=lambda source: source.name)


def zipped(path: Path) -> list[Zipped]:
    opened.cache_clear()  # it may be another file by now
    try:
        return [Zipped(info.filename, path, info.filename) for info in opened(path).infolist() if not info.is_dir()]
    except BROKEN as error:
        raise UserError(f"{path} is truncated or not a zip archive ({error})") from None


def members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Name and content of the wanted files in a tar archive, packed or not. Links are not followed."""
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if member.isreg() and wanted(name):
                    if member.size > LARGEST:
                        raise UserError(f"{path}: {name} has {member.size} bytes; at most {LARGEST} are read")
                    yield name, archive.extractfile(member).read()  # type: ignore[union-attr]
    except (*BROKEN, OSError) as error:
        raise UserError(f"{path} is truncated or not a tar archive ({error})") from None


def slices(paths: Sequence[Path]) -> list[Slice]:
    """The files in an uncompressed tar archive, which may be split into parts."""
    parts = tuple((path, path.stat().st_size) for path in paths)
    shown = str(paths[0]) if len(paths) == 1 else f"{paths[0]} … {paths[-1].name}"
    try:
        with io.BufferedReader(Joined(parts)) as joined, tarfile.open(fileobj=joined, mode="r:") as archive:
            members = [(member.name, member.offset_data, member.size) for member in archive if member.isreg()]
            joined.seek(archive.offset)
            if joined.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):  # tarfile does not detect this
                raise tarfile.ReadError("the end of the archive is missing")
    except BROKEN as error:
        raise UserError(f"{shown} is truncated or not a tar archive ({error})") from None
    return [Slice(name.removeprefix("./"), parts, offset, length) for name, offset, length in members]


def plain_tar(path: Path, scratch: Path) -> Path:
    """The archive itself if it is uncompressed, else an uncompressed copy in `scratch`."""
    opener = UNPACK.get(path.suffix.lower())
    if opener is None:
        return path
    copy = scratch / f"{path.name}.plain"
    try:
        with opener(path) as packed, copy.open("wb") as file:  # type: ignore[operator]
            shutil.copyfileobj(packed, file, 1 << 20)
    except BROKEN as error:
        raise UserError(f"{path} is truncated or corrupt ({error})") from None
    except OSError as error:
        raise UserError(f"{path} could not be unpacked into {scratch}: {error.strerror or error}") from error
    return copy
