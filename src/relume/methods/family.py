"""The description of a family of methods: its sections of `params.yaml` and what they produce."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, get_args, get_origin, get_type_hints

from relume.core.config import build, merge
from relume.core.references import Same

Plain = Mapping[str, Any]  # parsed YAML
IMAGES = ("dataset", "split", "count")  # fields that select images
DECLARED = (
    "alexnet_conv",
    "vgg16_conv",
    "lpips_alex",
    "lpips_vgg",
)  # weights that dvc.yaml declares for users of LPIPS


@dataclass(frozen=True, kw_only=True)
class Part:
    """A dataclass merged from `layers` of (key, mapping), highest priority first. `unused`: keys that nothing reads; their
    references are not checked. `around`: dataclasses whose fields it may name."""

    value: Any
    layers: tuple[tuple[str, Any], ...]
    unused: frozenset[tuple[str, ...]] = frozenset()
    around: tuple[Any, ...] = ()

    def key(self, path: Sequence[Any]) -> str:
        """The full key at which the user set `path`; that of the first layer for a default."""
        stated = [key for key, plain in self.layers if _states(plain, path)]
        return ".".join([*(stated or [self.layers[0][0]])[:1], *map(str, path)])


def _states(plain: Any, path: Sequence[Any]) -> bool:
    for key in path:
        if not isinstance(plain, Mapping) or key not in plain:
            return not isinstance(plain, Mapping)  # lists are not merged
        plain = plain[key]
    return True


def _shares(cls: Any) -> bool:
    """Whether it is a dataclass whose `dataset` is the file's."""
    known = "dataset" in getattr(cls, "__dataclass_fields__", ())
    return known and Same("dataset") in getattr(get_type_hints(cls, include_extras=True)["dataset"], "__metadata__", ())


def _given(plain: Any, dataset: Any) -> Any:
    return {"dataset": dataset, **plain} if isinstance(plain, dict) else plain


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of `params.yaml`."""

    key: str
    cls: Any  # its dataclass, or a dict of dataclasses by name
    names: str = ""  # the field with the entries by name; "": the section itself is such a dict
    entry: Any = None  # the dataclass of an entry that states differences from `shared`
    read: Callable[[Plain, str], tuple[Any, tuple[Part, ...]]] | None = None  # builds an entry from the whole file
    models: bool = False  # entries are models, models/<kind>/<name>
    groups: bool = False  # entries are groups of reconstructions
    methods: Callable[[str, Any], Sequence[str]] = lambda name, group: (name,)  # of a group, in its tables
    baselines: Callable[[str, Any], Sequence[str]] = lambda name, group: ()  # of a group, named floor_*
    weights: tuple[str, ...] = ()  # that dvc.yaml declares for every entry
    over: tuple[str, ...] = ()  # other sections that entries are merged from
    stated: tuple[str, ...] = ()  # keys of an entry that dvc.yaml reads: presets always state them
    unused: frozenset[tuple[str, ...]] = frozenset({("shared",)})  # as in Part
    idle: Callable[[Any], frozenset[tuple[str, ...]]] = lambda entry: frozenset()  # the same for an entry

    @property
    def path(self) -> str:
        """The key of its entries."""
        return f"{self.key}.{self.names}" if self.names else self.key

    @property
    def empty(self) -> dict[str, Any] | None:
        """The section without entries, as in presets; None for a section that never has entries."""
        if self.names:
            kind = get_origin(get_type_hints(self.cls)[self.names])
            return {self.names: {} if kind is dict else []}
        return {} if get_origin(self.cls) is dict else None

    @property
    def own_dataset(self) -> bool:
        """Whether the section, whatever it holds, names a dataset other than the file's."""
        return "dataset" in getattr(self.cls, "__dataclass_fields__", ()) and not _shares(self.cls)

    def inherit(self, plain: Any, dataset: Any) -> Any:
        """The section with the file's `dataset` wherever it is left out: in itself, its `shared`, or each of its entries."""
        if get_origin(self.cls) is dict and _shares(get_args(self.cls)[1]):
            return {name: _given(entry, dataset) for name, entry in plain.items()} if isinstance(plain, dict) else plain
        if _shares(self.cls):
            return _given(plain, dataset)
        if _shares(self.entry) and isinstance(plain, dict):
            return {key: _given(below, dataset) if key == "shared" else below for key, below in plain.items()}
        return plain

    def part(self, value: Any, plain: Any) -> Part:
        """The section itself. Without entries, only its IMAGES fields are read."""
        unused = self.unused
        if self.names and not getattr(value, self.names):
            unused = frozenset((field,) for field in value.__dataclass_fields__ if field not in IMAGES)
        return Part(value=value, layers=((self.key, plain),), unused=unused)

    def entries(self, value: Any) -> list[str]:
        """Names of the entries; none for a list, which names entries of other sections."""
        found = getattr(value, self.names) if self.names else value
        return list(found) if isinstance(found, Mapping) else []

    def built(self, whole: Plain, sections: Mapping[str, Any], name: str) -> tuple[Any, tuple[Part, ...]]:
        """An entry, and its parts to check. `whole`: the file; `sections`: its dataclasses."""
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
    """A folder of `methods`. Its module `checks`, if any, holds cross-section validation."""

    name: str
    kind: str = ""  # of its models: the folder below models/
    sections: tuple[Section, ...]
    checks: bool = True
    report: bool = False  # its module `report` adds parts to the page
    labels: Mapping[str, str] = field(default_factory=dict)  # `family` in the tables -> display name
    about: str = ""  # how the method makes images, one sentence
    given: Mapping[str, Callable[[], Mapping[str, Any]]] = field(default_factory=dict)  # further lists that keys may name

    def faults(self, params: Any) -> Iterator[str]:
        """Imported by name, so that the registry does not depend on the checks."""
        if self.checks:
            yield from import_module(f"relume.methods.{self.name}.checks").faults(params)
