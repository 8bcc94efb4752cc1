"""A registry: a dict with a decorator, for things that `params.yaml` names."""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from relume.core.errors import UserError, one_of

T = TypeVar("T")


def plugins(kind: str) -> dict[str, EntryPoint]:
    """The entry points `relume.<kind>` of installed packages, by name."""
    return {point.name: point for point in entry_points(group=f"relume.{kind}")}


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
