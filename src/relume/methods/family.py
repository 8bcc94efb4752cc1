"""What a family of methods says of itself, once, in its own folder: its sections of `params.yaml`, and what they make."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, get_origin, get_type_hints

from relume.core.config import build, merge

Plain = Mapping[str, Any]  # parsed YAML
IMAGES = ("dataset", "split", "count")  # of sections that look at images
DECLARED = ("alexnet_conv", "vgg16_conv", "lpips_alex", "lpips_vgg")  # weights that dvc.yaml declares for whatever may use LPIPS


@dataclass(frozen=True, kw_only=True)
class Part:
    """A dataclass made of maps laid over each other: `layers` of (key, map), the uppermost first. `unused`: keys whose references
    are not checked, since nothing reads them. `around`: dataclasses whose fields it may name."""

    value: Any
    layers: tuple[tuple[str, Any], ...]
    unused: frozenset[tuple[str, ...]] = frozenset()
    around: tuple[Any, ...] = ()

    def key(self, path: Sequence[Any]) -> str:
        """The full key where the user wrote what stands at `path`; a default is the uppermost map's."""
        stated = [key for key, plain in self.layers if _states(plain, path)]
        return ".".join([*(stated or [self.layers[0][0]])[:1], *map(str, path)])


def _states(plain: Any, path: Sequence[Any]) -> bool:
    for key in path:
        if not isinstance(plain, Mapping) or key not in plain:
            return not isinstance(plain, Mapping)  # lists are not merged
        plain = plain[key]
    return True


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of `params.yaml`."""

    key: str
    cls: Any  # its dataclass, or a dict of dataclasses by name
    names: str = ""  # the field with the things by name that stages go through; "": the section itself, where it is a dict
    entry: Any = None  # the dataclass of an entry that states its differences from `shared`
    read: Callable[[Plain, str], tuple[Any, tuple[Part, ...]]] | None = None  # an entry of the whole file, where neither will do
    models: bool = False  # entries are models, models/<kind>/<name>
    groups: bool = False  # entries are groups of reconstructions
    methods: Callable[[str, Any], Sequence[str]] = lambda name, group: (name,)  # of a group: the methods in its tables
    baselines: Callable[[str, Any], Sequence[str]] = lambda name, group: ()  # likewise: those that begin with floor_
    weights: tuple[str, ...] = ()  # what dvc.yaml declares for every entry, whatever it names
    over: tuple[str, ...] = ()  # other sections that entries are made of
    stated: tuple[str, ...] = ()  # keys of an entry that dvc.yaml reads, so they are never left out
    unused: frozenset[tuple[str, ...]] = frozenset({("shared",)})  # as in Part
    idle: Callable[[Any], frozenset[tuple[str, ...]]] = lambda entry: frozenset()  # of an entry: likewise

    @property
    def path(self) -> str:
        """The key of its entries."""
        return f"{self.key}.{self.names}" if self.names else self.key

    @property
    def empty(self) -> dict[str, Any] | None:
        """The section without entries, as a preset states it; None for a section that has none."""
        if self.names:
            kind = get_origin(get_type_hints(self.cls)[self.names])
            return {self.names: {} if kind is dict else []}
        return {} if get_origin(self.cls) is dict else None

    @property
    def dataset(self) -> bool:
        """It names a dataset, whatever else it holds."""
        return "dataset" in getattr(self.cls, "__dataclass_fields__", ())

    def part(self, value: Any, plain: Any) -> Part:
        """The section itself. Where it names no things by name, nothing of it is read but which images it looks at."""
        unused = self.unused
        if self.names and not getattr(value, self.names):
            unused = frozenset((field,) for field in value.__dataclass_fields__ if field not in IMAGES)
        return Part(value=value, layers=((self.key, plain),), unused=unused)

    def entries(self, value: Any) -> list[str]:
        """Names of the things by name in the section's dataclass; lists name things of other sections."""
        found = getattr(value, self.names) if self.names else value
        return list(found) if isinstance(found, Mapping) else []

    def built(self, whole: Plain, sections: Mapping[str, Any], name: str) -> tuple[Any, tuple[Part, ...]]:
        """An entry, and what of it is checked beyond the section itself: of the whole file, and of its sections' dataclasses."""
        if self.read:
            return self.read(whole, name)
        if self.entry is None:
            own = getattr(sections[self.key], self.names) if self.names else sections[self.key]
            return own[name], ()
        key, plain = f"{self.path}.{name}", whole[self.key]
        value = build(self.entry, merge(plain["shared"], plain[self.names][name]), key)
        layers = ((key, plain[self.names][name]), (f"{self.key}.shared", plain["shared"]))
        return value, (Part(value=value, layers=layers, unused=self.idle(value)),)


@dataclass(frozen=True, kw_only=True)
class Family:
    """One folder of `methods`. Its module `checks`, if there is one, holds the rules that no annotation can state."""

    name: str
    kind: str = ""  # of its models, the folder below models/
    sections: tuple[Section, ...]
    checks: bool = True
    report: bool = False  # its module `report` adds parts to the page
    labels: Mapping[str, str] = field(default_factory=dict)  # `family` in the tables -> its name for people
    about: str = ""  # how such a method makes its pictures, one sentence

    def faults(self, params: Any) -> Iterator[str]:
        """By name: who reads the registry does not depend on checks."""
        if self.checks:
            yield from import_module(f"relume.methods.{self.name}.checks").faults(params)
