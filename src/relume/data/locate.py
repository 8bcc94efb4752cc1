"""Finds a source's file or folder: in RELUME_SOURCES, then in `data/sources/`; else it is downloaded."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relume.core.download import check, fetch, how_to_get
from relume.core.errors import UserError

HERE = Path("data/sources")


@dataclass(frozen=True, kw_only=True)
class Archive:
    """An official file. `register`: its owner requires registration, so it cannot be downloaded here."""

    name: str
    url: str
    md5: str
    describe: str
    register: bool = False


def folders() -> list[Path]:
    """The folders in RELUME_SOURCES, separated as in PATH, and `data/sources/`."""
    given = os.environ.get("RELUME_SOURCES", "").split(os.pathsep)
    return [*(Path(folder).expanduser() for folder in given if folder), HERE]


def find_local(name: str) -> Path | None:
    """The file or folder of that name, or None."""
    return next((folder / name for folder in folders() if (folder / name).exists()), None)


def find_parts(pattern: str, places: Sequence[Path] | None = None) -> list[Path]:
    """The parts of a split archive (`part_*`), in natural order, from the first folder that has any."""
    for folder in places or folders():
        if found := sorted(folder.glob(pattern), key=lambda path: (len(path.name), path.name)):
            return found
    return []


def find(name: str, official: Sequence[Archive], *, verify: bool = True) -> Path:
    """The file or folder `name`. An official file is verified, and downloaded if it is missing."""
    archive = next((each for each in official if each.name == name), None)
    found = find_local(name)
    if archive is None:
        if found is None:
            raise UserError(not_found(name))
        return found
    if found is None:
        if archive.register:
            why = f"its owner requires registration; searched {_list()}"
            checks = {"md5": archive.md5}
            raise UserError(how_to_get(archive.url, HERE / name, why=why, describe=archive.describe, checks=checks))
        return fetch(archive.url, HERE / name, md5=archive.md5 if verify else None, describe=archive.describe)
    if verify and found.is_file():
        hint = f"download it again from {archive.url}, or set `verify: false` if it is meant to differ"
        check(found, md5=archive.md5, hint=hint)
    return found


def not_found(name: str) -> str:
    return f"{name} was not found in {_list()}; RELUME_SOURCES may list more folders"


def _list() -> str:
    return ", ".join(str(folder) for folder in folders())
