"""The whole of `params.yaml`: every section's dataclass, and what must agree between sections. Checked at each stage's door.

Nothing imports this module but the door, by name: it can stop a run, never change a result. It imports no torch.
`python -m relume.params` checks the file by itself.
"""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from relume.core.config import build, read_params
from relume.core.errors import UserError, one_of
from relume.core.run import Run
from relume.data.config import Prepare
from relume.evaluation.config import Compare, Evaluate, Floors
from relume.features.catalogue import check_tap
from relume.features.config import Extract, Weights
from relume.inversion.config import InvertOptimise, Recipe, variation
from relume.losses.config import Losses
from relume.report.config import Report

SECTIONS: dict[str, type] = {
    "run": Run,
    "prepare": Prepare,
    "weights": Weights,
    "extract": Extract,
    "losses": Losses,
    "floors": Floors,
    "invert_optimise": InvertOptimise,
    "evaluate": Evaluate,
    "compare": Compare,
    "report": Report,
}
RECIPES = "recipes"


def check(whole: Mapping[str, Any]) -> None:
    """Raise a UserError that names every fault found: in one section each, then between sections."""
    wanted = [*SECTIONS, RECIPES]
    faults = [f"params: {key}: unknown section; {one_of(wanted, str(key))}" for key in whole if key not in wanted]
    faults += [f"params: {key}: missing section" for key in wanted if key not in whole]
    built: dict[str, Any] = {}
    recipes: dict[str, tuple[InvertOptimise, Recipe]] = {}
    for key, cls in SECTIONS.items():
        if key in whole:
            try:
                built[key] = build(cls, whole[key], key)
            except UserError as error:
                faults += str(error).splitlines()
    if "invert_optimise" in built and RECIPES in whole:
        try:
            recipes = _recipes(whole)
        except UserError as error:
            faults += str(error).splitlines()
    if not faults:
        faults = [f"params: {fault}" for fault in _between(built, recipes)]
    if faults:
        raise UserError("\n".join(faults))


def _recipes(whole: Mapping[str, Any]) -> dict[str, tuple[InvertOptimise, Recipe]]:
    given = whole[RECIPES]
    if not isinstance(given, dict):
        raise UserError(f"params: {RECIPES}: a map of recipes by name is wanted, got {given!r}")
    faults: list[str] = []
    found: dict[str, tuple[InvertOptimise, Recipe]] = {}
    for name, recipe in given.items():
        path = f"{RECIPES}.{name}"
        if isinstance(recipe, dict):
            try:
                found[name] = variation(whole["invert_optimise"], recipe, path)
            except UserError as error:
                faults.append(str(error))
        else:
            faults.append(f"params: {path}: a map of differences from invert_optimise is wanted, got {recipe!r}")
    if faults:
        raise UserError("\n".join(faults))
    return found


def _between(built: Mapping[str, Any], recipes: Mapping[str, tuple[InvertOptimise, Recipe]]) -> Iterable[str]:
    """What must agree: datasets are prepared, networks fetched and extracted, taps there, groups made by some stage."""
    datasets, fetched = built["prepare"].datasets, built["weights"].networks
    yield from (
        f"extract.datasets: {name} is not prepared; {one_of(datasets, name)}"
        for name in built["extract"].datasets
        if name not in datasets
    )
    yield from (
        f"extract.networks: {name} is not in weights.networks; {one_of(fetched, name)}"
        for name in built["extract"].networks
        if name not in fetched
    )
    yield from _pictures("floors", built["floors"], datasets)
    yield from _judges(built)
    groups = ["floors", *recipes]
    yield from (
        f"compare.groups: no stage writes {name}; {one_of(groups, name)}"
        for name in built["compare"].groups
        if name not in groups
    )
    for name, (recipe, own) in recipes.items():
        yield from _recipe(f"{RECIPES}.{name}", recipe, own, built, groups)


def _pictures(path: str, section: Any, datasets: Mapping[str, Any]) -> Iterable[str]:
    """Dataset, split and count exist, as far as the parameters tell."""
    if section.dataset not in datasets:
        yield f"{path}.dataset: {section.dataset!r} is not prepared; {one_of(datasets, section.dataset)}"
        return
    splits = ("test", "val", "train")
    if section.split not in splits:
        yield f"{path}.split: unknown split {section.split!r}; {one_of(splits, section.split)}"
        return
    dataset = datasets[section.dataset]
    there = getattr(dataset, section.split)
    if there is not None:
        there += getattr(dataset, f"dead_leaves_{section.split}", 0)
    if section.count is not None and there is not None and section.count > there:
        yield f"{path}.count: {section.count} pictures of {section.split} are wanted; prepare makes {there}"


def _judges(built: Mapping[str, Any]) -> Iterable[str]:
    """LPIPS needs its network and its heads."""
    networks = {"lpips_alex": "alexnet_conv", "lpips_vgg": "vgg16_conv", "lpips_squeeze": "squeezenet1_1"}
    for metric in built["evaluate"].metrics:
        for name in (metric, networks[metric]) if metric in networks else ():
            if name not in built["weights"].networks:
                yield f"weights.networks: {name} is missing, which metric {metric} needs"


def _recipe(path: str, recipe: InvertOptimise, own: Recipe, built: Mapping[str, Any], groups: list[str]) -> Iterable[str]:
    yield from _pictures(path, recipe, built["prepare"].datasets)
    unknown = [name for name in own.losses if name not in Losses.__dataclass_fields__]
    yield from (f"{path}.losses.{name}: unknown term; {one_of(Losses.__dataclass_fields__, name)}" for name in unknown)
    if not built["losses"].times(own.losses):
        yield f"{path}.losses: every weight is 0, so there is nothing to minimise"
    for tap in recipe.taps:
        try:
            check_tap(recipe.network, tap)
        except UserError as error:
            yield f"{path}.taps: {error}"
    if recipe.network not in built["extract"].networks:
        yield f"{path}.network: {recipe.network} is not in extract.networks; {one_of(built['extract'].networks, recipe.network)}"
    starts = [
        f"data/images/{recipe.dataset}",
        *(f"data/reconstructions/{group}" for group in groups if group != path.removeprefix(f"{RECIPES}.")),
    ]
    if own.start not in starts:
        yield f"{path}.start: {own.start!r} is neither the images (begin from `init`) nor a group; {one_of(starts, own.start)}"


def main() -> None:
    try:
        check(read_params(Path("params.yaml")))
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
