"""What must agree between `train_surrogate`, the recipes that ask one, and the other sections. `params` alone uses this."""

from collections.abc import Iterable, Mapping
from typing import Any

from relume.core.errors import UserError, one_of
from relume.core.files import NONE, given
from relume.data.checks import there
from relume.methods.optimise.config import InversionConfig, Recipe
from relume.methods.surrogate.config import SURROGATES, SurrogateConfig
from relume.networks.catalogue import check_tap
from relume.training.config import FEATURES

WEIGHTS = "models/weights"
Recipes = Mapping[str, tuple[InversionConfig, Recipe]]


def between(
    built: Mapping[str, Any],
    models: Mapping[str, SurrogateConfig],
    recipes: Recipes,
    always: Iterable[str],
) -> Iterable[str]:
    """`always`: networks that every recipe declares."""
    shared, datasets = built["train_surrogate"].shared.dataset, built["prepare"].datasets
    if models and shared not in datasets:
        yield f"train_surrogate.shared.dataset: {shared!r} is not prepared; {one_of(datasets, shared)}"
    for name, config in models.items():
        path = f"train_surrogate.models.{name}"
        if config.dataset != shared:
            yield f"{path}.dataset: all surrogates share train_surrogate.shared.dataset, {shared!r}"
        elif shared in datasets:
            yield from _pictures(path, config, datasets[shared])
        yield from _network(path, config.network, config.taps, built, key="taps")
        yield from _network(f"{path}.target", config.target.network, (config.target.tap,), built, key="tap")
        yield from _features(f"{path}.features", config.features, config.dataset, config.network, built)
        yield from _features(f"{path}.target.features", config.target.features, config.dataset, config.target.network, built)
    for name, (recipe, own) in recipes.items():
        yield from _recipe(f"recipes.{name}", recipe, own, built, models, {*always, recipe.network})


def _pictures(path: str, config: SurrogateConfig, dataset: Any) -> Iterable[str]:
    """To learn from, and to look at meanwhile."""
    for split in ("train", "val"):
        if there(dataset, split) == 0:
            yield f"prepare.datasets.{config.dataset}.{split}: {path} wants pictures there"
    known = there(dataset, "val")
    if config.validation is not None and known and config.validation > known:
        yield f"{path}.validation: {config.validation} pictures are wanted; prepare makes {known}"


def _network(path: str, network: str, taps: Iterable[str], built: Mapping[str, Any], *, key: str) -> Iterable[str]:
    if network not in built["weights"].networks:
        yield f"{path}.network: {network} is not in weights.networks; {one_of(built['weights'].networks, network)}"
    for tap in taps:
        try:
            check_tap(network, tap)
        except UserError as error:
            yield f"{path}.{key}: {error}"


def _features(path: str, folder: str, dataset: str, network: str, built: Mapping[str, Any]) -> Iterable[str]:
    """DVC reads where they come from; a folder of features is one that the stage `extract` writes."""
    kept, extract = f"{FEATURES}/{dataset}/{network}", built["extract"]
    if folder not in (str(NONE), kept):
        yield f"{path}: {folder!r} is neither {NONE} (they are computed) nor {kept} (those that are there are read)"
    elif folder == kept and (dataset not in extract.datasets or network not in extract.networks):
        yield f"{path}: the stage extract writes no {kept}: name {dataset} and {network} there, or {NONE}"


def _recipe(
    path: str,
    recipe: InversionConfig,
    own: Recipe,
    built: Mapping[str, Any],
    models: Mapping[str, SurrogateConfig],
    declared: set[str],
) -> Iterable[str]:
    """A recipe whose term has a weight asks a model that predicts from its own taps, and from pictures of its size."""
    if not given(own.surrogate):
        if recipe.losses.surrogate:
            yield f"{path}.surrogate: the surrogate term asks a model: name one, {SURROGATES}/<name>"
        return
    name = own.surrogate.removeprefix(f"{SURROGATES}/")
    if name not in models or name == own.surrogate:
        known = [str(NONE), *(f"{SURROGATES}/{model}" for model in models)]
        yield f"{path}.surrogate: {own.surrogate} is neither {NONE} nor a trained one; {one_of(known, own.surrogate)}"
        return
    yield from _fit(path, name, models[name], recipe, built)
    target = models[name].target.network
    if own.weights not in (WEIGHTS, f"{WEIGHTS}/{target}") and target not in declared:
        yield f"{path}.weights: surrogate needs {target}: say {WEIGHTS}/{target}, or {WEIGHTS} for all networks"


def _fit(path: str, name: str, asked: SurrogateConfig, recipe: InversionConfig, built: Mapping[str, Any]) -> Iterable[str]:
    if asked.network != recipe.network or not set(asked.taps) <= recipe.taps.keys():
        told = f"{asked.network} {'+'.join(asked.taps)}, and {recipe.network} {'+'.join(recipe.taps)} is inverted"
        yield f"{path}.surrogate: {name} predicts from {told}"
    sizes = [built["prepare"].datasets[one.dataset].size for one in (asked, recipe) if one.dataset in built["prepare"].datasets]
    if len(set(sizes)) > 1:
        yield f"{path}.surrogate: {name} has learned with pictures of {sizes[0]} px, those of {recipe.dataset} have {sizes[1]}"
    if not recipe.losses.surrogate:
        yield f"{path}.surrogate: {name} is named, but losses.surrogate has no weight here: name {NONE}"
