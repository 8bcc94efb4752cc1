"""Validates references between sections: one walk over all dataclasses of `params.yaml` checks their annotations."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, singledispatch
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from relume.core import references as marks
from relume.core.errors import UserError, one_of
from relume.core.files import NONE
from relume.core.references import Reference
from relume.losses.config import LPIPS
from relume.methods.family import Part
from relume.networks.catalogue import Tap as TapFacts
from relume.networks.catalogue import facts
from relume.training.config import FEATURES

SPLITS = ("test", "val", "train")


class Params:
    """The whole file as dataclasses. `entries`: key of a list or mapping -> name -> entry."""

    def __init__(self, sections: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]]) -> None:
        self._sections, self._entries = sections, entries

    def __getitem__(self, key: str) -> Any:
        name, *path = key.split(".")
        value = self._sections[name]
        for part in path:
            value = value[part] if isinstance(value, Mapping) else getattr(value, part)
        return value

    def entries(self, key: str) -> Mapping[str, Any]:
        return self._entries.get(key, {})

    def names(self, *keys: str) -> list[str]:
        """Names in lists, keys of mappings, or fields of a section."""
        return [name for key in keys for name in (self._entries[key] if key in self._entries else _names(self[key]))]

    def naming(self, lists: Mapping[str, Sequence[str]]) -> "Params":
        """A copy with further lists of names."""
        return Params(self._sections, {**self._entries, **{key: dict.fromkeys(names) for key, names in lists.items()}})

    def pixels(self, dataset: str) -> int | None:
        """The side of a dataset's images; None for an unknown dataset."""
        found = self["prepare.datasets"].get(dataset)
        return None if found is None else found.pixels

    def images(self, dataset: str, split: str) -> int | None:
        """The number of images that `prepare` makes; None if unknown from the parameters."""
        found = self["prepare.datasets"].get(dataset)
        count: int | None = getattr(found, split, None)
        return None if count is None else count + getattr(found, f"dead_leaves_{split}", 0)


def _names(value: Any) -> list[str]:
    return [field.name for field in fields(value)] if is_dataclass(value) else list(value)


@dataclass(frozen=True, kw_only=True)
class Found:
    """A marked value, its key relative to its part, and the dataclasses that hold it, innermost first."""

    value: Any
    mark: Reference
    path: tuple[Any, ...]
    holders: tuple[Any, ...]

    def field(self, name: str) -> Any:
        """The field of the innermost holder that has it."""
        return next(getattr(holder, name) for holder in self.holders if hasattr(holder, name))


def faults(part: Part, params: Params) -> Iterator[str]:
    """Faults of the part's references, with their keys."""
    for found in marked(part):
        yield from (f"{part.key(found.path)}: {fault}" for fault in check(found.mark, found, params))


def networks(part: Part) -> list[str]:
    """The networks that the part needs."""
    return [name for found in marked(part) for name in _needs(found)]


def marked(part: Part) -> Iterator[Found]:
    return (
        found
        for found in _walk(part.value, None, (), part.around)
        if not any(found.path[: len(one)] == one for one in part.unused)
    )


def _walk(value: Any, annotation: Any, path: tuple[Any, ...], holders: tuple[Any, ...]) -> Iterator[Found]:
    own, kind = _unwrap(annotation)
    if value is None:
        return
    yield from (Found(value=value, mark=mark, path=path, holders=holders) for mark in own)
    if is_dataclass(value):
        hints = _hints(value.__class__)
        for field in fields(value):
            yield from _walk(getattr(value, field.name), hints[field.name], (*path, field.name), (value, *holders))
    elif isinstance(value, dict):
        of_key, of_value = get_args(kind) or (None, None)
        for key, below in value.items():
            yield from _walk(key, of_key, (*path, key), holders)
            yield from _walk(below, of_value, (*path, key), holders)
    elif isinstance(value, tuple):
        kinds = get_args(kind)
        for number, below in enumerate(value):
            repeated = len(kinds) == 2 and kinds[1] is Ellipsis
            yield from _walk(below, kinds[0 if repeated else number] if kinds else None, (*path, number), holders)


@cache
def _hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


def _unwrap(annotation: Any) -> tuple[list[Reference], Any]:
    """The markers of an annotation, and the annotation without them and without None."""
    found: list[Reference] = []
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *notes = get_args(annotation)
            found += [note for note in notes if isinstance(note, Reference)]
        elif get_origin(annotation) in (Union, UnionType):
            annotation = next(choice for choice in get_args(annotation) if choice is not type(None))
        else:
            return found, annotation


@singledispatch
def check(mark: Reference, found: Found, params: Params) -> Iterator[str]:
    """Faults of a marked value."""
    raise TypeError(f"no check for references of type {type(mark).__name__}")


@check.register
def _(mark: marks.Entry, found: Found, params: Params) -> Iterator[str]:
    yield from absent(found.value, mark.lists, params)


def absent(name: str, lists: Sequence[str], params: Params) -> Iterator[str]:
    known = params.names(*lists)
    if name not in known:
        yield f"{name!r} is not in {' or '.join(lists)}; {one_of(known, name)}"


@check.register
def _(mark: marks.Folder, found: Found, params: Params) -> Iterator[str]:
    known = [*([str(NONE)] if mark.none else []), *(f"{mark.root}/{name}" for name in params.names(*mark.lists))]
    if found.value not in known:
        yield f"{found.value!r} is not {mark.root}/<name> of {' or '.join(mark.lists)}; {one_of(known, found.value)}"


@check.register
def _(mark: marks.Same, found: Found, params: Params) -> Iterator[str]:
    if found.value != params[mark.key]:
        yield f"{found.value!r} is not {mark.key}, {params[mark.key]!r}: both must be the same"


@check.register
def _(mark: marks.AtMost, found: Found, params: Params) -> Iterator[str]:
    if found.value > params[mark.key]:
        yield f"{found.value} is more than {mark.key}, {params[mark.key]}"


@check.register
def _(mark: marks.Split, found: Found, params: Params) -> Iterator[str]:
    dataset, allowed = found.field("dataset"), [split for split in SPLITS if split != "train" or not mark.held_out]
    if found.value == "train" and mark.held_out:
        yield f"models learn from 'train'; {one_of(allowed)}"
    elif found.value not in allowed:
        yield f"unknown split {found.value!r}; {one_of(allowed, found.value)}"
    elif params.images(dataset, found.value) == 0:
        yield f"{dataset} has no images in {found.value}"


@check.register
def _(mark: marks.Holds, found: Found, params: Params) -> Iterator[str]:
    yield from (f"{found.value} has no images in {split}" for split in mark.splits if params.images(found.value, split) == 0)


@check.register
def _(mark: marks.Count, found: Found, params: Params) -> Iterator[str]:
    dataset, split = found.field("dataset"), mark.split or found.field("split")
    known = params.images(dataset, split) if split in SPLITS else None
    if known and found.value > known:
        yield f"needs {found.value} images of {split}, {dataset} has {known}"


@check.register
def _(mark: marks.Tap, found: Found, params: Params) -> Iterator[str]:
    network = found.field("network")
    yield from no_tap(network, found.value)
    tap = _taps(network).get(found.value)
    if mark.pooled and tap and tap.stride is not None:
        yield f"{found.value} of {network} has positions; needs a tap without positions, such as pool"


def no_tap(network: str, tap: str) -> Iterator[str]:
    """Yields nothing for an unknown network, which is reported elsewhere."""
    taps = _taps(network)
    if taps and tap not in taps:
        yield f"{network} has no tap {tap!r}; {one_of(taps, tap)}"


def _taps(network: str) -> Mapping[str, TapFacts]:
    try:
        return facts(network).taps
    except UserError:
        return {}


@check.register
def _(mark: marks.HasTap, found: Found, params: Params) -> Iterator[str]:
    yield from no_tap(found.value, mark.tap)


@check.register
def _(mark: marks.NetworkTap, found: Found, params: Params) -> Iterator[str]:
    for key in mark.lists:
        yield from absent(found.value[0], (key,), params)
    yield from no_tap(*found.value)


@check.register
def _(mark: marks.ForeignTap, found: Found, params: Params) -> Iterator[str]:
    yield from no_tap(found.path[-2], found.holders[0].looks_at(found.value))


@check.register
def _(mark: marks.Sees, found: Found, params: Params) -> Iterator[str]:
    own = found.field(mark.pixels) if mark.pixels else None
    side = own or params.pixels(found.field("dataset"))
    try:
        about = facts(found.value)
    except UserError:
        return  # an unknown network is reported elsewhere
    if side is not None and about.any_size and about.min_size > side:
        yield f"{found.value} needs images of at least {about.min_size} px, these have {side}"


@check.register
def _(mark: marks.Features, found: Found, params: Params) -> Iterator[str]:
    dataset, network, extract = found.field("dataset"), found.field("network"), params["extract"]
    kept = f"{FEATURES}/{dataset}/{network}"
    if found.value not in (str(NONE), kept):
        yield f"{found.value!r} is neither {NONE} (they are computed) nor {kept} (they are read)"
    elif found.value == kept:
        yield from absent(network, ("extract.networks",), params)
        if mark.strict and extract.cached is not None:
            yield from absent(network, ("extract.cached",), params)


@check.register
def _(mark: marks.Lpips, found: Found, params: Params) -> Iterator[str]:
    for name in _needs(found):
        yield from absent(name, ("weights.networks",), params)


def _needs(found: Found) -> list[str]:
    """The networks that a marked value needs."""
    if isinstance(found.mark, marks.Lpips):
        kind = found.value.removeprefix("lpips_")
        return [LPIPS[kind], f"lpips_{kind}"] if kind in LPIPS else []
    network = isinstance(found.mark, marks.Entry) and {*found.mark.lists} & {"weights.networks", "extract.networks"}
    return [found.value] if network else []
