"""The pictures in folders and archives. Members of a tar are read in place, by offset, so that all cores can."""

import bz2
import gzip
import io
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from relume.core.errors import UserError
from relume.data.decode import EXTENSIONS
from relume.data.pictures import File, Material, Slice, Zipped

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".zip")
BROKEN = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError)
UNPACK = {".gz": gzip.open, ".tgz": gzip.open, ".xz": lzma.open, ".txz": lzma.open, ".bz2": bz2.open}


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
        with io.BufferedReader(Joined(sizes)) as joined, tarfile.open(fileobj=joined, mode="r:") as archive:
            members = [(member.name, member.offset_data, member.size) for member in archive if member.isreg()]
            joined.seek(archive.offset)
            if joined.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):  # tarfile takes a cut for an end
                raise tarfile.ReadError("it breaks off without its end mark")
    except BROKEN as error:
        raise UserError(f"{shown} is truncated or no tar archive ({error})") from None
    return [Slice(name.removeprefix("./"), sizes, offset, length) for name, offset, length in members]


def plain_tar(path: Path, scratch: Path) -> Path:
    """The archive itself where it is uncompressed, else an uncompressed copy in `scratch`."""
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


class Joined(io.RawIOBase):
    """Files read as one, end to end: the parts of a divided archive."""

    def __init__(self, sizes: Sequence[tuple[Path, int]]) -> None:
        self._sizes, self._at, self._total = sizes, 0, sum(size for _, size in sizes)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._total}[whence] + offset
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """From one part at a time; whoever buffers asks again."""
        start = 0
        for path, size in self._sizes:
            if self._at < start + size:
                with path.open("rb") as file:
                    file.seek(self._at - start)
                    got = file.readinto(buffer)
                self._at += got
                return got
            start += size
        return 0
