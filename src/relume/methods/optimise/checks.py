"""What inversions by optimisation, of pictures and of latents, need of the other sections. `params` alone uses this."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from relume.core.errors import UserError, one_of
from relume.core.files import NONE, given
from relume.data.checks import asked as asked_pictures
from relume.data.checks import enough
from relume.losses.config import LPIPS, ForeignTerm
from relume.methods.decoder.config import DecoderConfig
from relume.methods.latent.checks import Ways
from relume.methods.optimise.config import InversionConfig, InvertOptimise, Latent, Recipe
from relume.networks.catalogue import NETWORKS, check_tap

RECIPES = "recipes"
ALWAYS = ("alexnet_conv", "vgg16_conv", "lpips_alex", "lpips_vgg")  # weights that dvc.yaml declares for every recipe
WITHOUT_BATCHNORM = ("alexnet", "vgg", "squeezenet", "clip", "identity")  # beginnings of networks' names


def outside(key: str, names: Iterable[str], known: Iterable[str], fault: str) -> Iterable[str]:
    yield from (f"{key}: {name} {fault}; {one_of(known, name)}" for name in names if name not in known)


def inversion(path: str, section: InvertOptimise, built: Mapping[str, Any]) -> Iterable[str]:
    """Its pictures, network and taps are there, with the statistics that its features are judged by."""
    yield from asked_pictures(path, section, built["prepare"].datasets)
    yield from outside(f"{path}.network", [section.network], built["extract"].networks, "is not in extract.networks")
    for tap in section.taps:
        try:
            check_tap(section.network, tap)
        except UserError as error:
            yield f"{path}.taps: {error}"
    yield from outside(f"{path}.dataset", [section.dataset], built["extract"].datasets, "is not in extract.datasets")
    if section.restarts > built["run"].micro_batch:
        yield f"{path}.restarts: {section.restarts} do not fit into run.micro_batch, {built['run'].micro_batch}"


def latents(latent: Ways, built: Mapping[str, Any]) -> Iterable[str]:
    """Methods that begin with a latent want what recipes want; all weights lie before them."""
    for group, methods in latent.items():
        for name, way in methods.items():
            path, factors = f"invert_latent.{group}.methods.{name}", way.inversion.losses.active
            yield from inversion(path, way.inversion, built)
            yield from _terms(path, way.inversion, factors)
            missing = {"ref": "an earlier group", "surrogate": "a surrogate embedding"}
            yield from (
                f"{path}.losses.{term}: {missing[term]} is wanted, and here is none" for term in missing if term in factors
            )
            if way.inversion.dataset in built["prepare"].datasets:
                yield from _fit(path, way.inversion, factors, built["prepare"].datasets[way.inversion.dataset])
            yield from _weights(path, way.inversion, "models/weights", factors, built["weights"].networks)


def recipe_faults(path: str, recipe: InversionConfig, own: Recipe, built: Mapping[str, Any], groups: list[str]) -> Iterable[str]:
    name = path.removeprefix(f"{RECIPES}.")
    if name == "floors" or name in built["invert_decoder"]:
        yield f"{path}: the name belongs to the group of another stage"
    yield from inversion(path, recipe, built)
    if isinstance(recipe.parametrisation, Latent):
        yield f"{path}.parametrisation.kind: latent spaces belong to section invert_latent, which has a generator"
    if recipe.dataset != built["invert_optimise"].dataset:
        yield f"{path}.dataset: all recipes share invert_optimise.dataset, {built['invert_optimise'].dataset!r}"
    factors = recipe.losses.active
    earlier = [str(NONE), *(f"data/reconstructions/{group}" for group in groups if group != name)]
    yield from outside(f"{path}.start", [own.start], earlier, f"is neither {NONE} (begin from `init`) nor a group")
    yield from outside(f"{path}.reference", [own.reference], earlier, f"is neither {NONE} nor a group")
    if "ref" in factors and not given(own.reference):
        yield f"{path}.reference: the ref term looks at an earlier group's pictures: name one, data/reconstructions/<group>"
    yield from _terms(path, recipe, factors)
    if recipe.dataset in built["prepare"].datasets:
        yield from _fit(path, recipe, factors, built["prepare"].datasets[recipe.dataset])
    yield from _weights(path, recipe, own.weights, factors, built["weights"].networks)


def knowledge(
    path: str,
    recipe: InversionConfig,
    own: Recipe,
    recipes: Mapping[str, tuple[InversionConfig, Recipe]],
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
    yield from outside(f"{path}.weights", [further], [str(NONE), root, *free], f"is neither {NONE}, {root} nor a further network")
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
