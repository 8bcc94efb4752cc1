"""The whole of `params.yaml`: every section as its dataclass, and what sections name of each other. Every stage checks it first.

Stages reach this module by name only: it can stop a run, and the dataset that it adds stands in their commands. No torch here.
`python -m relume.params` checks the file by itself.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from relume.core.config import build, read_params
from relume.core.errors import UserError, one_of
from relume.core.references import GROUPS, METHODS
from relume.core.run import Run
from relume.data.config import Prepare
from relume.evaluation.config import Compare, Defend, Evaluate, Floors, Maps, Probe, ScoreSamples, SelfTest
from relume.losses.config import Losses
from relume.methods import references
from relume.methods.family import Family, Part, Section
from relume.methods.references import Params
from relume.methods.registry import FAMILIES
from relume.networks.catalogue import DECLARED
from relume.networks.config import Extract, OwnNetwork, Weights
from relume.report.config import Report

SHARED = (
    Section(key="dataset", cls=str),
    Section(key="run", cls=Run),
    Section(key="prepare", cls=Prepare),
    Section(key="networks", cls=dict[str, OwnNetwork]),
    Section(key="weights", cls=Weights),
    Section(key="extract", cls=Extract),
    Section(key="losses", cls=Losses),
    Section(key="floors", cls=Floors),
    Section(key="maps", cls=Maps, names="decoders"),
    Section(key="defend", cls=Defend, names="embeddings"),
    Section(key="probe", cls=Probe, names="models"),
    Section(key="score_samples", cls=ScoreSamples, names="models"),
    Section(key="evaluate", cls=Evaluate),
    Section(key="self_test", cls=SelfTest),
    Section(key="compare", cls=Compare),
    Section(key="report", cls=Report),
)
SECTIONS = {section.key: section for section in (*SHARED, *(one for family in FAMILIES for one in family.sections))}
IGNORED = ("nfiles", "size")  # DVC's run cache leaves keys of these names out, at any depth
BASELINES, PREFIX = "floors", "floor_"  # the group of the baselines, and how the names of their methods begin
T = TypeVar("T")


def check(whole: Mapping[str, Any]) -> dict[str, Any]:
    """The file with its `dataset` in all sections that share it. Raises a UserError that names every fault: in one section each,
    then between sections."""
    if not isinstance(whole.get("dataset"), str):
        raise UserError(f"params: dataset: a name of prepare.datasets is needed, got {whole.get('dataset')!r}")
    known = {key: SECTIONS[key] for key in whole if key in SECTIONS}
    whole = {**whole, **{key: section.inherit(whole[key], whole["dataset"]) for key, section in known.items()}}
    faults = [f"params: {key}: unknown section; {one_of(SECTIONS, str(key))}" for key in whole if key not in SECTIONS]
    faults += [f"params: {key}: missing section" for key in SECTIONS if key not in whole]
    faults += [f"params: {fault}" for fault in _ignored(whole)]
    faults += _declare(whole.get("networks"))
    built: dict[str, Any] = {}
    parts: list[Part] = []
    for key, section in SECTIONS.items():
        if key in whole and (value := _tried(faults, build, section.cls, whole[key], key)) is not None:
            built[key] = value
            parts.append(section.part(value, whole[key]))
    entries = {key: dict(found()) for family in FAMILIES for key, found in family.given.items()}
    for section in SECTIONS.values():
        ready = built.keys() >= {section.key, *section.over}
        for name in section.entries(built[section.key]) if ready else ():
            faults += _unstated(section, whole, name)
            if found := _tried(faults, section.built, whole, built, name):
                entries.setdefault(section.path, {})[name] = found[0]
                parts += found[1]
    if not faults:
        faults = [f"params: {fault}" for fault in _between(Params(built, entries), parts)]
    if faults:
        raise UserError("\n".join(dict.fromkeys(faults)))
    return whole


def _declare(own: Any) -> list[str]:
    """Networks of the user's own join the catalogue; what is wrong with them. Builds them, where there are any."""
    DECLARED.clear()
    faults: list[str] = []
    for name, plain in (own or {}).items() if isinstance(own, Mapping | None) else ():
        path = f"networks.{name}"
        if (declared := _tried(faults, build, OwnNetwork, plain, path)) is None:
            continue
        try:
            DECLARED[name] = import_module("relume.networks.own").facts_of(name, declared)
        except UserError as error:
            faults.append(f"params: {path}: {error}")
    return faults


def _unstated(section: Section, whole: Mapping[str, Any], name: str) -> list[str]:
    entry = (whole[section.key][section.names] if section.names else whole[section.key])[name]
    return [f"params: {section.path}.{name}.{key}: missing; dvc.yaml reads it" for key in section.stated if key not in entry]


def _ignored(value: Any, path: str = "") -> Iterator[str]:
    """Keys whose changes DVC's run cache does not see: it would restore the results of the old value and run nothing."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inside:
        here = f"{path}.{key}" if path else str(key)
        if key in IGNORED:
            yield f"{here}: DVC's run cache ignores keys named {key!r} (treeverse/dvc#10296); allowed: 'pixels' or another name"
        yield from _ignored(below, here)


def _tried(faults: list[str], make: Callable[..., T], *given: Any) -> T | None:
    """What `make` makes of the given; its faults join the others."""
    try:
        return make(*given)
    except UserError as error:
        faults += str(error).splitlines()
        return None


def _between(params: Params, parts: Sequence[Part]) -> Iterator[str]:
    """What is named is there, names are unique, every group is compared; then what families have to say."""
    if unknown := list(references.absent(params["dataset"], ("prepare.datasets",), params)):
        yield from (f"dataset: {fault}" for fault in unknown)
        return  # what else is found in the sections that share it would only hide this
    groups = [Owner(BASELINES, BASELINES, BASELINES), *_owners(params, "groups")]
    methods = list(_methods(params))
    params = params.naming({GROUPS: [one.name for one in groups], METHODS: [one.name for one in methods]})
    for part in parts:
        yield from references.faults(part, params)
    for section in SECTIONS.values():
        for network in section.weights if section.weights and params.names(section.path) else ():
            yield from (f"{section.path}: {fault}" for fault in references.absent(network, ("weights.networks",), params))
    yield from _names(list(_owners(params, "models")), groups, methods)
    written, compared = params.names(GROUPS), params["compare.groups"]
    yield from (f"compare.groups: {name} is missing, which a stage writes" for name in written if name not in compared)
    for family in FAMILIES:
        yield from family.faults(params)


class Owner(NamedTuple):
    """Whose name it is."""

    name: str
    key: str
    family: str
    baseline: bool = False


def _owners(params: Params, kind: str) -> Iterator[Owner]:
    """Of `models` or `groups`."""
    for family, section in _sections():
        for name in params.names(section.path) if getattr(section, kind) else ():
            yield Owner(name, f"{section.path}.{name}", family.name)


def _methods(params: Params) -> Iterator[Owner]:
    """As tables name them."""
    yield from (Owner(name, BASELINES, BASELINES, True) for name in params["floors"].methods)
    for family, section in _sections():
        for group, value in params.entries(section.path).items() if section.groups else ():
            key = f"{section.path}.{group}"
            yield from (Owner(name, key, family.name, True) for name in section.baselines(group, value))
            yield from (Owner(name, key, family.name) for name in section.methods(group, value))


def _sections() -> Iterator[tuple[Family, Section]]:
    return ((family, section) for family in FAMILIES for section in family.sections)


def _names(models: Sequence[Owner], groups: Sequence[Owner], methods: Sequence[Owner]) -> Iterator[str]:
    """Models share metrics/training/, groups data/reconstructions/; methods share tables, with models of other families too."""
    for owners in (models, groups, methods):
        first: dict[str, Owner] = {}
        for one in owners:
            if one is not first.setdefault(one.name, one):
                yield f"{one.key}: the name {one.name!r} belongs to {first[one.name].key}"
    for model in models:
        for other in (one for one in methods if one.name == model.name and one.family != model.family):
            yield f"{model.key}: the name {model.name!r} belongs to a method of {other.key}"
    for one in (*models, *methods):
        if one.name.startswith(PREFIX) and not one.baseline:
            yield f"{one.key}: the name {one.name!r} is a baseline's: these begin with {PREFIX!r}"


def main() -> None:
    try:
        check(read_params(Path("params.yaml")))
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
