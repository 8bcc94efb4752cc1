"""Files that are whole or absent: atomic writes, checksums, the CSV dialect of the contracts, scratch that survives a kill."""

import csv
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from relume.core.errors import UserError

NONE = Path("data/none")  # an empty dataset: what a key names that names nothing, so that DVC has a dependency there


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, renamed onto it when the block ends well, removed when it does not. Makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`, put in its place when the block ends well, removed when it does not."""
    temporary, old = (path.with_name(f".{path.name}.{os.getpid()}.{kind}") for kind in ("part", "old"))
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if path.exists():
            path.rename(old)
        temporary.rename(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


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
    """One CSV cell: booleans `true`/`false`, not applicable empty, seven significant digits."""
    if value is None or value != value:  # None, or the one number that differs from itself
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.7g}"
    return str(value)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Rows are mappings; a key outside `columns` is a fault of ours, a missing one is an empty cell."""
    with atomic(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            foreign = row.keys() - set(columns)
            if foreign:
                raise ValueError(f"{path}: {sorted(foreign)} are no columns of it")
            writer.writerow([cell(row.get(column)) for column in columns])


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows as written: every cell is text, empty where not applicable."""
    try:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: the stage that writes it has not run") from None


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """A short, stable name for plain data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def given(path: Path | str) -> bool:
    """Whether a key names something: any path but NONE."""
    return Path(path) != NONE


class Scratch:
    """A folder outside the outputs (DVC empties those before a stage runs) where long work keeps what it has finished.

    Its name holds everything that the result depends on, so a changed parameter never resumes the old work.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / name

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def find_root(start: Path) -> Path:
    """The nearest folder upwards that holds a pipeline; `start` itself where none does."""
    start = start.resolve()
    return next((folder for folder in (start, *start.parents) if (folder / "dvc.yaml").exists()), start)
