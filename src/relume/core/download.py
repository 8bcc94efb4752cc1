"""Downloads a file and verifies its checksum. An interrupted download resumes, in the same run or in the next."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from filelock import FileLock
from tqdm import tqdm

from relume.core.errors import UserError
from relume.core.files import check_space, checksum

TIMEOUT = 15.0  # seconds without an answer, or without a byte
CUTS = 5  # connections in all; a new one is opened only if the last one made progress
CHUNK = 1 << 20


class _Failed(Exception):
    """The file could not be downloaded; the message says why."""


class _Cut(Exception):
    """The connection ended before the file did."""


def fetch(
    url: str, path: Path, *, sha256: str | None = None, md5: str | None = None, describe: str = "", timeout: float = TIMEOUT
) -> Path:
    """Downloads `url` to `path` unless it exists. A checksum may be a prefix, as in torch's file names. `describe`: for
    messages."""
    checks = {kind: value for kind, value in (("sha256", sha256), ("md5", md5)) if value}
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):  # a second process waits
            if not path.exists():
                _download(url, part, checks, timeout)
                part.replace(path)
            else:
                check(path, sha256=sha256, md5=md5)
    except _Failed as failure:
        why = f"the download failed: {failure}"
        raise UserError(how_to_get(url, path, why=why, describe=describe, checks=checks)) from None
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def check(path: Path, *, sha256: str | None = None, md5: str | None = None, hint: str = "") -> None:
    """Raises UserError unless the file has these checksums."""
    for kind, value in (("sha256", sha256), ("md5", md5)):
        if value and not (got := checksum(path, kind)).startswith(value):
            why = hint or "remove it to download it again"
            raise UserError(f"{path} is truncated or altered: its {kind} is {got}, expected {value}; {why}")


def how_to_get(url: str, path: Path, *, why: str, describe: str = "", checks: Mapping[str, str] | None = None) -> str:
    """The message for a missing file: what it is, its address, checksums and place."""
    lines = [f"{path.name} is missing: {why}", f"  what   {describe}" if describe else "", f"  from   {url}"]
    lines += [f"  check  {kind} {value}" for kind, value in (checks or {}).items()]
    return "\n".join(line for line in [*lines, f"  put at {path}"] if line)


def _download(url: str, part: Path, checks: dict[str, str], timeout: float) -> None:
    """Fills `part`, resuming an earlier run; if the checksum is then wrong, restarts once."""
    resumed = part.exists()
    _retry(url, part, timeout)
    for kind, value in checks.items():
        if (got := checksum(part, kind)).startswith(value):
            continue
        part.unlink()
        if resumed:
            return _download(url, part, checks, timeout)
        raise _Failed(f"its {kind} is {got}, expected {value}")
    return None


def _retry(url: str, part: Path, timeout: float) -> None:
    for _ in range(CUTS):
        before = part.stat().st_size if part.exists() else 0
        try:
            return _stream(url, part, timeout)
        except _Cut as cut:
            if not part.exists() or part.stat().st_size <= before:
                raise _Failed(str(cut)) from None
    raise _Failed(f"the connection was cut {CUTS} times; run again to resume")


def _stream(url: str, part: Path, timeout: float) -> None:
    """Appends the rest of the file to `part`."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "relume", "Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code == 416 and (error.headers.get("Content-Range") or "").endswith(f"/{have}"):  # of `bytes */1234`
            return  # it is complete
        if error.code == 416:
            part.unlink()  # longer than the file: part of another one
        raise _Failed(f"the server answers {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        raise _Failed(f"no connection ({getattr(error, 'reason', None) or error})") from None
    with answer:
        if answer.status != 206:
            have = 0  # the server does not support ranges and sends the whole file
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        check_space(part, (total or 0) - have)
        about: dict[str, Any] = {"desc": part.name.removeprefix(".").removesuffix(".part"), "total": total, "initial": have}
        bar = tqdm(**about, unit="B", unit_scale=True, unit_divisor=1024, disable=None)  # on stderr, if that is a terminal
        with part.open("ab" if have else "wb") as file, bar:
            _copy(answer, file, bar)
    if total is not None and part.stat().st_size != total:
        raise _Cut(f"cut after {part.stat().st_size} of {total} bytes")


def _copy(answer: IO[bytes], file: IO[bytes], bar: "tqdm[Any]") -> None:
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
