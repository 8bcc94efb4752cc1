"""Where a source's file or folder is: RELUME_SOURCES, then `data/sources/`, then its owner's address."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relume.core.download import check, fetch, how_to_get
from relume.core.errors import UserError

HERE = Path("data/sources")


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A file as its owner publishes it. `register` tells where to sign up, where there is no direct download."""

    name: str
    url: str
    md5: str
    describe: str
    register: bool = False


def folders() -> list[Path]:
    """RELUME_SOURCES holds folders, separated as in PATH."""
    given = os.environ.get("RELUME_SOURCES", "").split(os.pathsep)
    return [*(Path(folder).expanduser() for folder in given if folder), HERE]


def look(name: str) -> Path | None:
    """The file or folder of that name, if it is here."""
    return next((folder / name for folder in folders() if (folder / name).exists()), None)


def parts(pattern: str) -> list[Path]:
    """The parts of a divided archive (`part_*`), in natural order, from the first folder that has any."""
    for folder in folders():
        if found := sorted(folder.glob(pattern), key=lambda path: (len(path.name), path.name)):
            return found
    return []


def find(name: str, official: Sequence[Archive], *, verify: bool = True) -> Path:
    """The file or folder `name`. One that its owner publishes is checked, and downloaded if need be."""
    archive = next((each for each in official if each.name == name), None)
    found = look(name)
    if archive is None:
        if found is None:
            raise UserError(missing(name))
        return found
    if found is None:
        if archive.register:
            why = f"its owner hands it out after registration only; looked in {_list()}"
            raise UserError(advice(archive, why=why))
        return fetch(archive.url, HERE / name, md5=archive.md5 if verify else None, describe=archive.describe)
    if verify and found.is_file():
        hint = f"fetch it again from {archive.url}, or say `verify: false` if it is meant to be another"
        check(found, md5=archive.md5, hint=hint)
    return found


def advice(archive: Archive, *, why: str) -> str:
    return how_to_get(archive.url, HERE / archive.name, why=why, describe=archive.describe, checks={"md5": archive.md5})


def missing(name: str) -> str:
    return f"{name} was not found in {_list()}; RELUME_SOURCES may name further folders"


def _list() -> str:
    return ", ".join(str(folder) for folder in folders())
