"""The whole of `params.yaml`: every section's dataclass, and what must agree between sections. Checked at each stage's door.

Nothing imports this module but the door, by name: it can stop a run, never change a result. It imports no torch.
`python -m relume.params` checks the file by itself.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from relume.core.config import build, read_params
from relume.core.errors import UserError, one_of
from relume.core.run import Run
from relume.data.config import Prepare
from relume.evaluation.config import Compare, Evaluate, Floors
from relume.evaluation.maps_config import Maps
from relume.evaluation.probe_config import Probe
from relume.evaluation.samples_config import ScoreSamples
from relume.features.catalogue import NETWORKS, check_tap
from relume.features.config import Extract, Weights
from relume.inversion.config import InvertOptimise, Latent, Recipe, variation
from relume.inversion.decode_config import DecoderGroups
from relume.inversion.landscape_config import LandscapeGroups
from relume.inversion.latent_config import LatentGroups
from relume.inversion.reconstruct_config import MaskedGroups
from relume.losses.config import LPIPS, ForeignTerm, Losses
from relume.params_decoders import between
from relume.params_gan import between as between_gan
from relume.params_import_gan import between as between_imports
from relume.params_landscape import between as between_landscape
from relume.params_landscape import methods as landscape_methods
from relume.params_latent import Ways, ways
from relume.params_latent import between as between_latent
from relume.params_latent import methods as latent_methods
from relume.params_maps import between as between_maps
from relume.params_masked import between as between_masked
from relume.params_pictures import asked as asked_pictures
from relume.params_pictures import enough
from relume.params_probe import between as between_probe
from relume.params_surrogate import between as between_surrogate
from relume.report.config import Report
from relume.training.config import DecoderConfig, TrainDecoder, decoders
from relume.training.gan_config import TrainGan, gans
from relume.training.import_gan_config import ImportGan
from relume.training.landscape_config import TrainLandscape, landscape_models
from relume.training.mapper_config import TrainMapper, mappers
from relume.training.masked_config import TrainMasked, masked_models
from relume.training.surrogate_config import TrainSurrogate, surrogates

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
    "compare": Compare,
    "report": Report,
}
T = TypeVar("T")
RECIPES = "recipes"
ALWAYS = ("alexnet_conv", "vgg16_conv", "lpips_alex", "lpips_vgg")  # weights that dvc.yaml declares for every recipe
WITHOUT_BATCHNORM = ("alexnet", "vgg", "squeezenet", "clip", "identity")  # beginnings of networks' names


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
    recipes = _entries(_recipes, whole, faults) if "invert_optimise" in built and RECIPES in whole else {}
    trained = _entries(decoders, whole["train_decoder"], faults) if "train_decoder" in built else {}
    learned = _entries(surrogates, whole["train_surrogate"], faults) if "train_surrogate" in built else {}
    masked = _entries(masked_models, whole["train_masked"], faults) if "train_masked" in built else {}
    generators = _entries(gans, whole["train_gan"], faults) if "train_gan" in built else {}
    mapped = _entries(mappers, whole["train_mapper"], faults) if "train_mapper" in built else {}
    landscapes = _entries(landscape_models, whole["train_landscape"], faults) if "train_landscape" in built else {}
    latent = _entries(ways, built.get("invert_latent", {}), faults)
    if not faults:
        faults = [f"params: {fault}" for fault in _between(built, recipes, trained)]
        taken = [*recipes, *trained, *built["invert_decoder"], *_floors(built), "floors"]
        faults += [f"params: {fault}" for fault in between_masked(built, masked, taken)]
        faults += [f"params: {fault}" for fault in between_gan(built, generators, [*taken, *masked])]
        taken += [*built["reconstruct_masked"], *masked]
        faults += [f"params: {fault}" for fault in between_latent(built, mapped, latent, taken)]
        faults += [f"params: {fault}" for fault in _latent(latent, built)]
        taken += [*built["invert_latent"], *latent_methods(built["invert_latent"])]
        faults += [f"params: {fault}" for fault in between_landscape(built, landscapes, mapped, taken)]
        faults += [f"params: {fault}" for fault in between_probe(built, masked)]
        faults += [f"params: {fault}" for fault in between_imports(built)]
        faults += [f"params: {fault}" for fault in between_surrogate(built, learned, recipes, [*trained, *masked], ALWAYS)]
    if faults:
        raise UserError("\n".join(faults))


def _entries(read: Callable[[Any], dict[str, T]], given: Any, faults: list[str]) -> dict[str, T]:
    """What `read` makes of the given; its faults join the others."""
    try:
        return read(given)
    except UserError as error:
        faults += str(error).splitlines()
        return {}


def _recipes(whole: Mapping[str, Any]) -> dict[str, tuple[InvertOptimise, Recipe]]:
    given = whole[RECIPES]
    if not isinstance(given, dict):
        raise UserError(f"params: {RECIPES}: a map of recipes by name is wanted, got {given!r}")
    faults: list[str] = []
    found: dict[str, tuple[InvertOptimise, Recipe]] = {}
    for name, recipe in given.items():
        path = f"{RECIPES}.{name}"
        if isinstance(recipe, dict) and "network" not in recipe:
            faults.append(f"params: {path}.network: missing; dvc.yaml reads it to know which weights the recipe depends on")
        elif isinstance(recipe, dict):
            try:
                found[name] = variation(whole["invert_optimise"], recipe, path)
            except UserError as error:
                faults.append(str(error))
        else:
            faults.append(f"params: {path}: a map of differences from invert_optimise is wanted, got {recipe!r}")
    if faults:
        raise UserError("\n".join(faults))
    return found


def _between(
    built: Mapping[str, Any], recipes: Mapping[str, tuple[InvertOptimise, Recipe]], trained: Mapping[str, DecoderConfig]
) -> Iterable[str]:
    """What must agree: datasets are prepared, networks fetched and extracted, taps there, groups made and compared."""
    datasets, base = built["prepare"].datasets, built["invert_optimise"]
    yield from _outside("extract.datasets", built["extract"].datasets, datasets, "is not prepared")
    yield from _outside("extract.networks", built["extract"].networks, built["weights"].networks, "is not in weights.networks")
    yield from asked_pictures("floors", built["floors"], datasets)
    yield from _inversion("invert_optimise", base, built)
    if built["floors"].dataset != base.dataset:
        wanted = f"invert_optimise.dataset, {base.dataset!r}: floors are for the same pictures"
        yield f"floors.dataset: {built['floors'].dataset!r} is not {wanted}"
    yield from _judges(built)
    for name, (recipe, own) in recipes.items():
        yield from _recipe(f"{RECIPES}.{name}", recipe, own, built, [*built["invert_decoder"], *recipes])
        yield from _knowledge(f"{RECIPES}.{name}", recipe, own, recipes, built, trained)
    yield from between(built, trained, [*recipes, *_floors(built)])
    yield from asked_pictures("maps", built["maps"], datasets)
    yield from between_maps(built, trained)
    yield from _comparison(built, recipes, trained)


def _outside(key: str, names: Iterable[str], known: Iterable[str], fault: str) -> Iterable[str]:
    yield from (f"{key}: {name} {fault}; {one_of(known, name)}" for name in names if name not in known)


def _comparison(built: Mapping[str, Any], recipes: Mapping[str, object], trained: Mapping[str, object]) -> Iterable[str]:
    """Every group that a stage writes is compared, and every question is about methods that are there."""
    masked, compare = built["reconstruct_masked"], built["compare"]
    groups = ["floors", *built["invert_decoder"], *recipes, *masked, *built["invert_latent"], *built["invert_landscape"]]
    yield from _outside("compare.groups", compare.groups, groups, "is written by no stage")
    yield from (f"compare.groups: {name} is missing, which a stage writes" for name in groups if name not in compare.groups)
    shown = {name for group in built["invert_decoder"].values() for name in group.decoders}
    methods = [*recipes, *shown.intersection(trained), *_floors(built), *(name for one in masked.values() for name in one.models)]
    methods += latent_methods(built["invert_latent"]) + landscape_methods(built["invert_landscape"])
    for question, asked in compare.questions.items():
        yield from _outside(f"compare.questions.{question}.a", [asked.a], methods, "is no method")
        yield from _outside(f"compare.questions.{question}.b", [asked.b], methods, "is no method")


def _knowledge(
    path: str,
    recipe: InvertOptimise,
    own: Recipe,
    recipes: Mapping[str, tuple[InvertOptimise, Recipe]],
    built: Mapping[str, Any],
    trained: Mapping[str, DecoderConfig],
) -> Iterable[str]:
    """What a recipe begins with or looks at knows no more of the picture than the recipe's own taps, by which it is ranked."""
    for key in ("start", "reference"):
        group = getattr(own, key).removeprefix("data/reconstructions/")
        other: InvertOptimise | DecoderConfig | None = recipes[group][0] if group in recipes else None
        if earlier := other or built["invert_decoder"].get(group):
            yield from enough(f"{path}.{key}", recipe, group, earlier, built["prepare"].datasets)
        if group in built["invert_decoder"]:
            decoders = [trained[name] for name in built["invert_decoder"][group].decoders if name in trained]
            same = [one for one in decoders if one.network == recipe.network and [*one.taps] == [*recipe.taps]]
            other = decoders[0] if len(decoders) == 1 else None
            if other is None and len(same) != 1:
                wanted = f"{recipe.network} {'+'.join(recipe.taps)}"
                yield f"{path}.{key}: of the decoders in {group} {len(same)} are of {wanted}: name a group that has one"
        if other and (other.network != recipe.network or not set(other.taps) <= set(recipe.taps)):
            told = f"{other.network} {'+'.join(other.taps)}, of which {recipe.network} {'+'.join(recipe.taps)} says nothing"
            yield f"{path}.{key}: {group} is made from {told}: name one of the same network and of no other taps"


def _floors(built: Mapping[str, Any]) -> list[str]:
    blocks = (f"blocks_{blocks}" for blocks in built["floors"].blocks)
    return [f"floor_{name}" for name in ("dataset_mean", "mean_picture", "own_mean", *blocks)]


def _judges(built: Mapping[str, Any]) -> Iterable[str]:
    """LPIPS needs its network and its heads; sets of pictures need embeddings without positions."""
    if sets := built["evaluate"].sets:
        if built["reconstruct_masked"] or built["score_samples"].models:  # nothing else is measured as a set
            there = built["weights"].networks
            yield from _outside("evaluate.sets.network", [sets.network], there, "is not in weights.networks")
        try:
            if check_tap(sets.network, sets.tap).stride is not None:
                yield f"evaluate.sets.tap: {sets.tap} of {sets.network} has positions; pool has none"
        except UserError as error:
            yield f"evaluate.sets: {error}"
    for metric in built["evaluate"].metrics:
        judge = metric.removeprefix("lpips_")
        for name in (metric, LPIPS[judge]) if metric.startswith("lpips_") else ():
            if name not in built["weights"].networks:
                yield f"weights.networks: {name} is missing, which metric {metric} needs"


def _inversion(path: str, section: InvertOptimise, built: Mapping[str, Any]) -> Iterable[str]:
    """Its pictures, network and taps are there, with the statistics that its features are judged by."""
    yield from asked_pictures(path, section, built["prepare"].datasets)
    yield from _outside(f"{path}.network", [section.network], built["extract"].networks, "is not in extract.networks")
    for tap in section.taps:
        try:
            check_tap(section.network, tap)
        except UserError as error:
            yield f"{path}.taps: {error}"
    yield from _outside(f"{path}.dataset", [section.dataset], built["extract"].datasets, "is not in extract.datasets")
    if section.restarts > built["run"].micro_batch:
        yield f"{path}.restarts: {section.restarts} do not fit into run.micro_batch, {built['run'].micro_batch}"


def _latent(latent: Ways, built: Mapping[str, Any]) -> Iterable[str]:
    """Methods that begin with a latent want what recipes want; all weights lie before them."""
    for group, methods in latent.items():
        for name, way in methods.items():
            path, factors = f"invert_latent.{group}.methods.{name}", way.losses
            yield from _inversion(path, way.inversion, built)
            yield from _terms(path, way.inversion, factors)
            missing = {"ref": "an earlier group", "surrogate": "a surrogate embedding"}
            yield from (
                f"{path}.losses.{term}: {missing[term]} is wanted, and here is none" for term in missing if term in factors
            )
            if way.inversion.dataset in built["prepare"].datasets:
                yield from _fit(path, way.inversion, factors, built["prepare"].datasets[way.inversion.dataset])
            yield from _weights(path, way.inversion, "models/weights", factors, built["weights"].networks)


def _recipe(path: str, recipe: InvertOptimise, own: Recipe, built: Mapping[str, Any], groups: list[str]) -> Iterable[str]:
    name = path.removeprefix(f"{RECIPES}.")
    if name == "floors" or name in built["invert_decoder"]:
        yield f"{path}: the name belongs to the group of another stage"
    yield from _inversion(path, recipe, built)
    if isinstance(recipe.parametrisation, Latent):
        yield f"{path}.parametrisation.kind: latent spaces belong to section invert_latent, which has a generator"
    if recipe.dataset != built["invert_optimise"].dataset:
        yield f"{path}.dataset: all recipes share invert_optimise.dataset, {built['invert_optimise'].dataset!r}"
    yield from _outside(f"{path}.losses", own.losses, Losses.__dataclass_fields__, "is no term")
    factors = built["losses"].times(own.losses)
    if not factors:
        yield f"{path}.losses: every weight is 0, so there is nothing to minimise"
    images = f"data/images/{recipe.dataset}"
    earlier = [images, *(f"data/reconstructions/{group}" for group in groups if group != name)]
    yield from _outside(f"{path}.start", [own.start], earlier, "is neither the images (begin from `init`) nor a group")
    yield from _outside(f"{path}.reference", [own.reference], earlier, "is neither the images (none) nor a group")
    if "ref" in factors and own.reference == images:
        yield f"{path}.reference: the ref term looks at an earlier group's pictures: name one, data/reconstructions/<group>"
    yield from _terms(path, recipe, factors)
    if recipe.dataset in built["prepare"].datasets:
        yield from _fit(path, recipe, factors, built["prepare"].datasets[recipe.dataset])
    yield from _weights(path, recipe, own.weights, factors, built["weights"].networks)


def _terms(path: str, recipe: InvertOptimise, factors: Mapping[str, float]) -> Iterable[str]:
    """What single terms want of their recipe."""
    wanted = [("terms.clip", recipe.terms.clip.network, "pool")] if "clip" in factors else []
    wanted += [("network", recipe.network, "logits")] if "logits" in factors else []
    for term in ("ref", "avg"):
        if term in factors:
            foreign: ForeignTerm = getattr(recipe.terms, term)
            taps = ((network, tap) for network, taps in foreign.networks.items() for tap in taps)
            wanted += [(f"terms.{term}.networks", network, foreign.looks_at(tap)) for network, tap in taps]
    for key, network, tap in wanted:
        try:
            check_tap(network, tap)
        except UserError as error:
            yield f"{path}.{key}: {error}"


def _fit(path: str, recipe: InvertOptimise, factors: Mapping[str, float], dataset: Any) -> Iterable[str]:
    """What is asked fits the prepared pictures: their size, and whether there are some to learn from."""
    size, network = dataset.size, NETWORKS.get(recipe.network)
    if recipe.sizes and recipe.sizes[-1][1] != size:
        yield f"{path}.sizes: pictures end at {recipe.sizes[-1][1]} px, and those that are to be found have {size}"
    if network and network.any_size and network.min_size > size:
        yield f"{path}.network: {network.name} sees pictures of {network.min_size} px or more, these have {size}"
    if "ssim" in factors and (large := [window for window in recipe.terms.ssim.windows if window > size]):
        yield f"{path}.terms.ssim.windows: {large[0]} does not fit into pictures of {size} px"
    if ("guide" in factors or recipe.init.base != "grey") and dataset.train == 0:
        yield f"{path}: its guide or mean image is learned from prepare.datasets.{recipe.dataset}.train, which is 0"
    if "batchnorm" in factors and recipe.network.startswith(WITHOUT_BATCHNORM):
        yield f"{path}.losses.batchnorm: {recipe.network} has no batch normalisations: set its weight to 0"


def _weights(
    path: str, recipe: InvertOptimise, further: str, factors: Mapping[str, float], there: Sequence[str]
) -> Iterable[str]:
    """The networks of a recipe's terms are fetched, and declared to DVC."""
    root = "models/weights"
    free = [f"{root}/{name}" for name in there if name not in ALWAYS]
    yield from _outside(f"{path}.weights", [further], [root, *free], f"is neither {root} nor a further network in it")
    terms = recipe.terms
    needed = {recipe.network: "network"}
    for term in ("ref", "avg"):
        if term in factors:
            needed |= dict.fromkeys(getattr(terms, term).networks, term)
    if "clip" in factors:
        needed[terms.clip.network] = "clip"
    if "lpips" in factors:
        needed |= dict.fromkeys([LPIPS[terms.lpips.network], f"lpips_{terms.lpips.network}"], "lpips")
    declared = {recipe.network, *ALWAYS, *(there if further == root else [further.removeprefix(f"{root}/")])}
    for name, reason in needed.items():
        if name not in there:
            yield f"weights.networks: {name} is missing, which {path} needs ({reason})"
        elif name not in declared:
            yield f"{path}.weights: {reason} needs {name}: say {root}/{name}, or {root} for all networks"


def main() -> None:
    try:
        check(read_params(Path("params.yaml")))
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
