"""What users and installed packages add to relume: losses, networks, parametrisations, views, metrics, datasets, families."""

import difflib
import os
import sys
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from relume.core.errors import UserError, one_of


@cache
def plugins(kind: str) -> dict[str, EntryPoint]:
    """The entry points `relume.<kind>` of installed packages, by name."""
    return {point.name: point for point in entry_points(group=f"relume.{kind}")}


def added(kind: str, name: str) -> Any:
    """By the name of an entry point, or as `<module>:<name>`; the current folder is searched, too."""
    if name in plugins(kind):
        return plugins(kind)[name].load()
    module, colon, attribute = name.partition(":")
    if not colon:
        raise UserError(f"{kind}: unknown name {name!r}; {one_of(plugins(kind), name)}, or <module>:<name>")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0] and error.name != module:
            raise
        raise UserError(f"{kind}: {name}: no module {module!r} can be imported") from None
    if not hasattr(found, attribute):
        near = difflib.get_close_matches(attribute, dir(found), n=3)
        raise UserError(f"{kind}: {name}: {module} has no {attribute!r}{'; near: ' + ', '.join(near) if near else ''}")
    return getattr(found, attribute)
