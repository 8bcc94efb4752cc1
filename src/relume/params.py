"""The whole of `params.yaml`: every section's dataclass, and what must agree between sections. Checked at each stage's door.

Nothing imports this module but the door, by name: it can stop a run, never change a result. It imports no torch.
`python -m relume.params` checks the file by itself.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from relume.core.config import build, read_params
from relume.core.errors import UserError, one_of
from relume.core.run import Run
from relume.data.checks import asked as asked_pictures
from relume.data.config import Prepare
from relume.evaluation.checks import between as between_evaluate
from relume.evaluation.config import Compare, Evaluate, Floors
from relume.evaluation.maps_checks import between as between_maps
from relume.evaluation.maps_config import Maps
from relume.evaluation.probe_checks import between as between_probe
from relume.evaluation.probe_config import Probe
from relume.evaluation.samples_config import ScoreSamples
from relume.evaluation.self_test_config import SelfTest
from relume.losses.config import LPIPS, Losses
from relume.methods.decoder.checks import between
from relume.methods.decoder.config import DecoderConfig, DecoderGroups, TrainDecoder, decoders
from relume.methods.gan.checks import between as between_gan
from relume.methods.gan.config import ImportGan, TrainGan, gans
from relume.methods.landscape.checks import between as between_landscape
from relume.methods.landscape.checks import methods as landscape_methods
from relume.methods.landscape.config import LandscapeGroups, TrainLandscape, landscape_models
from relume.methods.latent.checks import between as between_latent
from relume.methods.latent.checks import methods as latent_methods
from relume.methods.latent.checks import ways
from relume.methods.latent.config import InvertLatent, LatentGroups, TrainMapper, inherited, mappers
from relume.methods.masked.checks import between as between_masked
from relume.methods.masked.config import MaskedGroups, TrainMasked, masked_models
from relume.methods.names import between as between_names
from relume.methods.optimise.checks import ALWAYS, RECIPES, inversion, knowledge, latents, outside, recipe_faults
from relume.methods.optimise.config import InversionConfig, InvertOptimise, Recipe, variation
from relume.methods.surrogate.checks import between as between_surrogate
from relume.methods.surrogate.config import TrainSurrogate, surrogates
from relume.networks.catalogue import check_tap
from relume.networks.config import Extract, Weights
from relume.params_import_gan import between as between_imports
from relume.report.config import Report

SECTIONS: dict[str, Any] = {
    "run": Run,
    "prepare": Prepare,
    "weights": Weights,
    "extract": Extract,
    "losses": Losses,
    "floors": Floors,
    "invert_optimise": InvertOptimise,
    "train_decoder": TrainDecoder,
    "invert_decoder": DecoderGroups,
    "train_surrogate": TrainSurrogate,
    "train_masked": TrainMasked,
    "reconstruct_masked": MaskedGroups,
    "import_gan": ImportGan,
    "train_gan": TrainGan,
    "score_samples": ScoreSamples,
    "train_mapper": TrainMapper,
    "invert_latent": LatentGroups,
    "train_landscape": TrainLandscape,
    "invert_landscape": LandscapeGroups,
    "maps": Maps,
    "probe": Probe,
    "evaluate": Evaluate,
    "self_test": SelfTest,
    "compare": Compare,
    "report": Report,
}
READ_BY_DVC = {  # what dvc.yaml reads of each thing by name, though its dataclass could do without
    RECIPES: ("network", *Recipe.__dataclass_fields__),
    "train_decoder.decoders": ("features",),
    "train_masked.models": ("tokenizer",),
}
T = TypeVar("T")


def check(whole: Mapping[str, Any]) -> None:
    """Raise a UserError that names every fault found: in one section each, then between sections."""
    wanted = [*SECTIONS, RECIPES]
    faults = [f"params: {key}: unknown section; {one_of(wanted, str(key))}" for key in whole if key not in wanted]
    faults += [f"params: {key}: missing section" for key in wanted if key not in whole]
    built: dict[str, Any] = {}
    for key, cls in SECTIONS.items():
        if key in whole:
            try:
                built[key] = build(cls, whole[key], key)
            except UserError as error:
                faults += str(error).splitlines()
    faults += _unread(whole)
    recipes = _entries(_recipes, whole, faults) if {"invert_optimise", "losses"} <= built.keys() and RECIPES in whole else {}
    trained = _entries(decoders, whole["train_decoder"], faults) if "train_decoder" in built else {}
    learned = _entries(surrogates, whole["train_surrogate"], faults) if "train_surrogate" in built else {}
    masked = _entries(masked_models, whole["train_masked"], faults) if "train_masked" in built else {}
    generators = _entries(gans, whole["train_gan"], faults) if "train_gan" in built else {}
    mapped = _entries(mappers, whole["train_mapper"], faults) if "train_mapper" in built else {}
    landscapes = _entries(landscape_models, whole["train_landscape"], faults) if "train_landscape" in built else {}
    latent = _entries(ways, _over_optimise(built, whole), faults)
    if not faults:
        faults = [f"params: {fault}" for fault in _between(built, recipes, trained)]
        taken = [*recipes, *trained, *built["invert_decoder"], *_floors(built), "floors"]
        faults += [f"params: {fault}" for fault in between_masked(built, masked, taken)]
        faults += [f"params: {fault}" for fault in between_gan(built, generators, [*taken, *masked])]
        taken += [*built["reconstruct_masked"], *masked]
        faults += [f"params: {fault}" for fault in between_latent(built, mapped, latent, taken)]
        faults += [f"params: {fault}" for fault in latents(latent, built)]
        taken += [*built["invert_latent"], *latent_methods(built["invert_latent"])]
        faults += [f"params: {fault}" for fault in between_landscape(built, landscapes, mapped, taken)]
        faults += [f"params: {fault}" for fault in between_probe(built, masked)]
        faults += [f"params: {fault}" for fault in between_imports(built)]
        faults += [f"params: {fault}" for fault in between_surrogate(built, learned, recipes, ALWAYS)]
        named: dict[str, Iterable[str]] = {"masked": masked, "gan": generators, "mapper": mapped, "surrogate": learned}
        lists = {f"train_{kind}.models": models for kind, models in {**named, "landscape": landscapes}.items()}
        faults += [f"params: {fault}" for fault in between_names({"train_decoder.decoders": trained, **lists})]
    if faults:
        raise UserError("\n".join(faults))


def _unread(whole: Mapping[str, Any]) -> Iterable[str]:
    for path, keys in READ_BY_DVC.items():
        things: Any = whole
        for part in path.split("."):
            things = things.get(part) if isinstance(things, dict) else None
        for name, thing in things.items() if isinstance(things, dict) else ():
            absent = [key for key in keys if isinstance(thing, dict) and key not in thing]
            yield from (f"params: {path}.{name}.{key}: missing; dvc.yaml reads what it depends on there" for key in absent)


def _entries(read: Callable[[Any], dict[str, T]], given: Any, faults: list[str]) -> dict[str, T]:
    """What `read` makes of the given; its faults join the others."""
    try:
        return read(given)
    except UserError as error:
        faults += str(error).splitlines()
        return {}


def _over_optimise(built: dict[str, Any], whole: Mapping[str, Any]) -> dict[str, InvertLatent]:
    """Groups of `invert_latent`, completed by what they are differences from, there and in `built`; none without it."""
    if not {"invert_latent", "invert_optimise"} <= built.keys():
        return {}
    section = whole["invert_optimise"]
    found = {name: inherited(group, section) for name, group in built["invert_latent"].items()}
    built["invert_latent"] = found
    return found


def _recipes(whole: Mapping[str, Any]) -> dict[str, tuple[InversionConfig, Recipe]]:
    given = whole[RECIPES]
    if not isinstance(given, dict):
        raise UserError(f"params: {RECIPES}: a map of recipes by name is wanted, got {given!r}")
    faults: list[str] = []
    found: dict[str, tuple[InversionConfig, Recipe]] = {}
    for name, recipe in given.items():
        path = f"{RECIPES}.{name}"
        if isinstance(recipe, dict):
            try:
                found[name] = variation(whole["invert_optimise"], whole["losses"], recipe, path)
            except UserError as error:
                faults.append(str(error))
        else:
            faults.append(f"params: {path}: a map of differences from invert_optimise is wanted, got {recipe!r}")
    if faults:
        raise UserError("\n".join(faults))
    return found


def _between(
    built: Mapping[str, Any], recipes: Mapping[str, tuple[InversionConfig, Recipe]], trained: Mapping[str, DecoderConfig]
) -> Iterable[str]:
    """What must agree: datasets are prepared, networks fetched and extracted, taps there, groups made and compared."""
    datasets, base = built["prepare"].datasets, built["invert_optimise"]
    yield from outside("extract.datasets", built["extract"].datasets, datasets, "is not prepared")
    yield from outside("extract.networks", built["extract"].networks, built["weights"].networks, "is not in weights.networks")
    yield from asked_pictures("floors", built["floors"], datasets)
    yield from inversion("invert_optimise", base, built)
    if built["floors"].dataset != base.dataset:
        wanted = f"invert_optimise.dataset, {base.dataset!r}: floors are for the same pictures"
        yield f"floors.dataset: {built['floors'].dataset!r} is not {wanted}"
    yield from _judges(built)
    for name, (recipe, own) in recipes.items():
        yield from recipe_faults(f"{RECIPES}.{name}", recipe, own, built, [*built["invert_decoder"], *recipes])
        yield from knowledge(f"{RECIPES}.{name}", recipe, own, recipes, built, trained)
    yield from between(built, trained, [*recipes, *_floors(built)])
    yield from asked_pictures("maps", built["maps"], datasets)
    yield from between_maps(built, trained)
    yield from _comparison(built, recipes, trained)


def _comparison(built: Mapping[str, Any], recipes: Mapping[str, object], trained: Mapping[str, object]) -> Iterable[str]:
    """Every group that a stage writes is compared, and every question is about methods that are there."""
    masked, compare = built["reconstruct_masked"], built["compare"]
    groups = ["floors", *built["invert_decoder"], *recipes, *masked, *built["invert_latent"], *built["invert_landscape"]]
    yield from outside("compare.groups", compare.groups, groups, "is written by no stage")
    yield from (f"compare.groups: {name} is missing, which a stage writes" for name in groups if name not in compare.groups)
    shown = {name for group in built["invert_decoder"].values() for name in group.decoders}
    methods = [*recipes, *shown.intersection(trained), *_floors(built), *(name for one in masked.values() for name in one.models)]
    methods += latent_methods(built["invert_latent"]) + landscape_methods(built["invert_landscape"])
    for question, asked in compare.questions.items():
        yield from outside(f"compare.questions.{question}.a", [asked.a], methods, "is no method")
        yield from outside(f"compare.questions.{question}.b", [asked.b], methods, "is no method")


def _floors(built: Mapping[str, Any]) -> list[str]:
    blocks = (f"blocks_{blocks}" for blocks in built["floors"].blocks)
    return [f"floor_{name}" for name in ("dataset_mean", "mean_picture", "own_mean", *blocks)]


def _judges(built: Mapping[str, Any]) -> Iterable[str]:
    """LPIPS needs its network and its heads; sets of pictures need embeddings without positions."""
    if sets := built["evaluate"].sets:
        yield from outside("evaluate.sets.network", [sets.network], built["weights"].networks, "is not in weights.networks")
        try:
            if check_tap(sets.network, sets.tap).stride is not None:
                yield f"evaluate.sets.tap: {sets.tap} of {sets.network} has positions; pool has none"
        except UserError as error:
            yield f"evaluate.sets: {error}"
    yield from between_evaluate(built)
    for metric in built["evaluate"].metrics:
        judge = metric.removeprefix("lpips_")
        for name in (metric, LPIPS[judge]) if metric.startswith("lpips_") else ():
            if name not in built["weights"].networks:
                yield f"weights.networks: {name} is missing, which metric {metric} needs"


def main() -> None:
    try:
        check(read_params(Path("params.yaml")))
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
