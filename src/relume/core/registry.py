"""A registry: a dict with a decorator, for things that `params.yaml` names. `added`: what users and installed packages add to
relume's own losses, networks, parametrisations, views, metrics, datasets and families."""

import difflib
import os
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from relume.core.errors import UserError, one_of

T = TypeVar("T")


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


class Registry(Generic[T]):
    """Maps names to entries of one kind. An unknown name raises UserError with the known names."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        def add(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = entry
            return entry

        return add

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            raise UserError(f"unknown {self.kind} {name!r}; {one_of(self._entries, name)}")
        return self._entries[name]

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def names(self) -> list[str]:
        return sorted(self._entries)
