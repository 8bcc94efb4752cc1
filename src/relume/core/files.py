"""Atomic writes, checksums, JSON and CSV files, and the scratch folder of resumable work."""

import csv
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from relume.core.errors import UserError

NONE = Path("data/none")  # an empty dataset: the value of a key that names nothing, because DVC needs a path


def part(path: Path) -> Path:
    """The temporary path of this process for `path`."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yields a temporary path next to `path`; renames it to `path` on success, removes it on error. Creates the folder."""
    temporary = part(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):  # the folder may be read-only
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder next to `path`; it replaces `path` on success and is removed on error."""
    temporary, old = (path.with_name(f".{path.name}.{kind}") for kind in ("part", "old"))
    try:
        for leftover in (temporary, old):  # of a killed process
            if leftover.exists():
                shutil.rmtree(leftover)
        temporary.mkdir(parents=True)
        yield temporary
        if path.exists():
            path.rename(old)
        temporary.rename(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def cannot_write(path: Path, error: OSError) -> UserError:
    """What to tell of this error. NumPy's of a write that was cut short has no number: `9 requested and 5 written`."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT) or (error.errno is None and "requested and" in str(error))
    why = "the disk is full: free some space and give the same command again" if full else error.strerror or error
    return UserError(f"cannot write {path}: {why}")


def check_writable(path: Path) -> None:
    """Raises UserError if `path` cannot be made: before hours of work, not after. Leaves nothing behind."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise cannot_write(path, error) from error


def sweep(path: Path) -> None:
    """Removes what killed processes left beside `path`: temporary files of `atomic`, and of DVC's copies from its cache."""
    name = re.escape(path.name)
    ours, dvcs = re.compile(rf"\.{name}\.(\d+)\.part"), re.compile(rf"{name}\.[\w-]{{22}}\.tmp")
    for entry in os.scandir(path.parent):
        found = ours.fullmatch(entry.name)
        if dvcs.fullmatch(entry.name) or (found and not _runs(int(found[1]))):
            Path(entry).unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        pass
    return True


def write_text(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text)


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path} is missing: the stage that writes it has not run") from None


def cell(value: object) -> str:
    """One CSV cell: booleans `true`/`false`, empty if not applicable, seven significant digits."""
    if value is None or value != value:  # None or NaN
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.7g}"
    return str(value)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Rows are mappings. A missing key is an empty cell; an unknown key is a bug."""
    with atomic(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            if unknown := row.keys() - set(columns):
                raise ValueError(f"{path}: unknown columns {sorted(unknown)}")
            writer.writerow([cell(row.get(column)) for column in columns])


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of text cells, empty where not applicable."""
    try:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: the stage that writes it has not run") from None


def checksum(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def sha256(path: Path) -> str:
    return checksum(path, "sha256")


def check_space(path: Path, need: int) -> None:
    """Raises UserError if the disk of `path` has less than `need` bytes free."""
    free = shutil.disk_usage(path.parent).free
    if need > free:
        raise UserError(f"{path} needs {need / 2**20:.1f} MiB, its disk has {free / 2**20:.1f} MiB free")


def digest(value: Any) -> str:
    """A short, stable hash of plain data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def given(path: Path | str) -> bool:
    """Whether the path is not NONE."""
    return Path(path) != NONE


class Scratch:
    """A folder for intermediate results, outside the outputs, which DVC deletes. Its name is a hash of all inputs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / name

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def find_root(start: Path) -> Path:
    """The nearest folder, from `start` upwards, with a `dvc.yaml`; else `start`."""
    start = start.resolve()
    return next((folder for folder in (start, *start.parents) if (folder / "dvc.yaml").exists()), start)
