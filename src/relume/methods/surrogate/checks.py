"""Cross-section validation of recipes with a surrogate."""

from collections.abc import Iterator

from relume.methods.optimise.config import SURROGATES, InvertOptimise, Recipe
from relume.methods.references import Params
from relume.methods.surrogate.config import SurrogateConfig


def faults(params: Params) -> Iterator[str]:
    models = params.entries("train_surrogate.models")
    for name, (recipe, own) in params.entries("recipes").items():
        path, requested = f"recipes.{name}.surrogate", own.surrogate.removeprefix(f"{SURROGATES}/")
        weighted = "surrogate" in recipe.losses.active
        if requested in models:
            yield from _fit(path, models[requested], recipe, own, params)
        if weighted and requested == own.surrogate:
            yield f"{path}: the surrogate term needs a model: {SURROGATES}/<name>"
        if requested in models and not weighted:
            yield f"{path}: {own.surrogate} needs a weight in losses.surrogate"


def _fit(path: str, model: SurrogateConfig, recipe: InvertOptimise, own: Recipe, params: Params) -> Iterator[str]:
    """The surrogate must use the recipe's taps and image size."""
    if model.network != recipe.network or not set(model.taps) <= recipe.taps.keys():
        given = f"{model.network} {'+'.join(model.taps)}, and {recipe.network} {'+'.join(recipe.taps)} is inverted"
        yield f"{path}: {own.surrogate} predicts from {given}"
    trained, pixels = params.pixels(model.dataset), params.pixels(recipe.dataset)
    if None not in (trained, pixels) and trained != pixels:
        yield f"{path}: {own.surrogate} needs images of {trained} px, those of {recipe.dataset} have {pixels}"
