"""One file from its owner's address to its place: whole and of the right checksum, or not there.

A download that is cut goes on where it ended, in the same run or in the next.
"""

import hashlib
import http.client
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import IO, NoReturn

from filelock import FileLock
from tqdm import tqdm

from relume.core.errors import UserError

TIMEOUT = 15.0  # seconds without an answer, or without a byte
CUTS = 5  # a connection that drops is taken up again this often, and only where the last one brought something
CHUNK = 1 << 20


class _Failed(Exception):
    """This address does not give the file; the message says why."""


class _Cut(Exception):
    """The connection ended before the file did."""


def fetch(
    url: str,
    path: Path,
    *,
    sha256: str | None = None,
    md5: str | None = None,
    describe: str = "",
    timeout: float = TIMEOUT,
) -> Path:
    """The file at `path`, downloaded from `url` if it is not there yet. A checksum may be a prefix, as torch has it.

    `describe` says in a message what the file is and how else to get it.
    """
    wanted = {kind: value for kind, value in (("sha256", sha256), ("md5", md5)) if value}
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):  # a second process waits, and then finds the file
            if not path.exists():
                _download(url, part, wanted, timeout)
                part.replace(path)
            else:
                check(path, sha256=sha256, md5=md5)
    except _Failed as failure:
        why = f"it could not be fetched: {failure}"
        raise UserError(how_to_get(url, path, why=why, describe=describe, checks=wanted)) from None
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def check(path: Path, *, sha256: str | None = None, md5: str | None = None, hint: str = "") -> None:
    """Stop unless the file has the checksums given."""
    for kind, value in (("sha256", sha256), ("md5", md5)):
        if value and not (got := _checksum(path, kind)).startswith(value):
            why = hint or "remove it to have it fetched again"
            raise UserError(f"{path} is truncated or altered: its {kind} is {got}, wanted {value}; {why}")


def how_to_get(url: str, path: Path, *, why: str, describe: str = "", checks: Mapping[str, str] | None = None) -> str:
    """The one message for a file that is wanted at `path` and not there."""
    lines = [f"{path.name} is not here: {why}", f"  what   {describe}" if describe else "", f"  from   {url}"]
    lines += [f"  check  {kind} {value}" for kind, value in (checks or {}).items()]
    return "\n".join(line for line in [*lines, f"  put at {path}"] if line)


def _download(url: str, part: Path, wanted: dict[str, str], timeout: float) -> None:
    """Fill `part`, going on with what an earlier run left; where that was of another file, fetch it anew, once."""
    resumed = part.exists()
    _until_whole(url, part, timeout)
    for kind, value in wanted.items():
        if (got := _checksum(part, kind)).startswith(value):
            continue
        part.unlink()
        if resumed:
            return _download(url, part, wanted, timeout)
        raise _Failed(f"what came has {kind} {got}")
    return None


def _until_whole(url: str, part: Path, timeout: float) -> None:
    for _ in range(CUTS):
        before = part.stat().st_size if part.exists() else 0
        try:
            return _stream(url, part, timeout)
        except _Cut as cut:
            if not part.exists() or part.stat().st_size <= before:
                raise _Failed(str(cut)) from None
    raise _Failed(f"the connection was cut {CUTS} times; run again to go on from there")


def _stream(url: str, part: Path, timeout: float) -> None:
    """Append to `part` what it still lacks."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "relume", "Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code == 416 and _total(error.headers.get("Content-Range")) == have:
            return  # it was whole already
        if error.code == 416:
            part.unlink()  # longer than the file: it was of another
        raise _Failed(f"the server answers {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        raise _Failed(f"no connection ({getattr(error, 'reason', None) or error})") from None
    with answer:
        if answer.status != 206:
            have = 0  # a server that knows no ranges starts again
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        _room(part, (total or 0) - have)
        with part.open("ab" if have else "wb") as file, _bar(part, total, have) as bar:
            _copy(answer, file, bar)
    if total is not None and part.stat().st_size != total:
        raise _Cut(f"cut after {part.stat().st_size} of {total} bytes")


def _copy(answer: IO[bytes], file: IO[bytes], bar: "tqdm[NoReturn]") -> None:
    while True:
        try:
            block = answer.read(CHUNK)
        except http.client.IncompleteRead as error:
            block = error.partial
        except (OSError, http.client.HTTPException) as error:
            raise _Cut(f"the connection broke ({error})") from None
        if not block:
            return
        file.write(block)
        bar.update(len(block))


def _bar(part: Path, total: int | None, have: int) -> "tqdm[NoReturn]":
    """On stderr, and only where somebody looks at it."""
    name = part.name.removeprefix(".").removesuffix(".part")
    return tqdm(desc=name, total=total, initial=have, unit="B", unit_scale=True, unit_divisor=1024, disable=None)


def _room(part: Path, need: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if need > free:
        raise UserError(f"{part.parent} is too full: {need / 2**20:.0f} MiB are to come, {free / 2**20:.0f} MiB are free")


def _total(content_range: str | None) -> int | None:
    """`bytes */1234`, what a server says of a file that has no bytes after those asked for."""
    found = re.search(r"/(\d+)$", content_range or "")
    return int(found[1]) if found else None


def _checksum(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()
