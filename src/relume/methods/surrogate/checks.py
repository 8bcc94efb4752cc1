"""Rules of recipes that ask a surrogate."""

from collections.abc import Iterator

from relume.methods.optimise.config import SURROGATES, InvertOptimise, Recipe
from relume.methods.references import Params
from relume.methods.surrogate.config import SurrogateConfig


def faults(params: Params) -> Iterator[str]:
    models = params.entries("train_surrogate.models")
    for name, (recipe, own) in params.entries("recipes").items():
        path, asked = f"recipes.{name}.surrogate", own.surrogate.removeprefix(f"{SURROGATES}/")
        weighted = "surrogate" in recipe.losses.active
        if asked in models:
            yield from _fit(path, models[asked], recipe, own, params)
        if weighted and asked == own.surrogate:
            yield f"{path}: the surrogate term needs a model: {SURROGATES}/<name>"
        if asked in models and not weighted:
            yield f"{path}: {own.surrogate} is named, but losses.surrogate has no weight here"


def _fit(path: str, model: SurrogateConfig, recipe: InvertOptimise, own: Recipe, params: Params) -> Iterator[str]:
    """It predicts from taps that the recipe inverts, of images of this size."""
    if model.network != recipe.network or not set(model.taps) <= recipe.taps.keys():
        told = f"{model.network} {'+'.join(model.taps)}, and {recipe.network} {'+'.join(recipe.taps)} is inverted"
        yield f"{path}: {own.surrogate} predicts from {told}"
    learned, asked = params.pixels(model.dataset), params.pixels(recipe.dataset)
    if None not in (learned, asked) and learned != asked:
        yield f"{path}: {own.surrogate} has learned with images of {learned} px, those of {recipe.dataset} have {asked}"
