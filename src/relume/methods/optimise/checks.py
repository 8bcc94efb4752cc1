"""Cross-section validation of recipes, and of inversions in latent spaces."""

from collections.abc import Collection, Iterator
from typing import Any

from relume.core.errors import UserError, one_of
from relume.core.files import NONE, given
from relume.core.registry import added
from relume.methods.decoder.config import DecoderConfig
from relume.methods.family import DECLARED, Part
from relume.methods.optimise.config import SURROGATES, InvertOptimise, Latent, Recipe
from relume.methods.optimise.family import unused
from relume.methods.references import Params, networks, no_tap

WEIGHTS, GROUPS = "models/weights", "data/reconstructions"
WITHOUT_BATCHNORM = ("alexnet", "vgg", "squeezenet", "clip", "identity")  # prefixes of networks' names


def faults(params: Params) -> Iterator[str]:
    for name, (recipe, own) in params.entries("recipes").items():
        path, losses = f"recipes.{name}", recipe.losses.active
        if isinstance(recipe.parametrisation, Latent):
            yield f"{path}.parametrisation.kind: latent spaces need a generator: use section invert_latent"
        if "ref" in losses and not own.reference.startswith(f"{GROUPS}/"):
            yield f"{path}.reference: the ref term needs an earlier group: {GROUPS}/<group>"
        learned = losses.keys() - ({"guide"} if given(own.start) else set())  # the start replaces the linear map
        yield from inversion(path, recipe, learned, params)
        yield from _weights(path, recipe, own, losses, params)
        for key in ("start", "reference"):
            group = getattr(own, key).removeprefix(f"{GROUPS}/")
            if group == name:
                yield f"{path}.{key}: {group!r} is the recipe's own group; needs an earlier one"
            else:
                yield from (f"{path}.{key}: {fault}" for fault in _earlier(group, recipe, params))


def inversion(path: str, config: InvertOptimise, losses: Collection[str], params: Params) -> Iterator[str]:
    """Faults of an inversion's terms and sizes, given its network and images."""
    for kind, name in config.own:
        try:
            added(kind, name)
        except UserError as error:
            yield f"{path}: {error}"
    if "logits" in losses:
        yield from (f"{path}.network: {fault}" for fault in no_tap(config.network, "logits"))
    if "batchnorm" in losses and config.network.startswith(WITHOUT_BATCHNORM):
        yield f"{path}.losses.batchnorm: {config.network} has no batch normalisations: set its weight to 0"
    if ("guide" in losses or config.init.base != "grey") and params.images(config.dataset, "train") == 0:
        yield f"{path}: its guide needs split train, and {config.dataset} has no images in it"
    pixels = params.pixels(config.dataset)
    if pixels is None:
        return
    if config.sizes and config.sizes[-1][1] != pixels:
        yield f"{path}.sizes: the last is {config.sizes[-1][1]} px, the images of {config.dataset} have {pixels}"
    if "ssim" in losses and max(config.terms.ssim.windows) > pixels:
        yield f"{path}.terms.ssim.windows: {max(config.terms.ssim.windows)} does not fit into images of {pixels} px"


def _weights(path: str, recipe: InvertOptimise, own: Recipe, losses: Collection[str], params: Params) -> Iterator[str]:
    """All networks that a recipe needs are declared to DVC: in DECLARED, as `network`, or in `weights`."""
    fetched = params.names("weights.networks")
    further = [str(NONE), WEIGHTS, *(f"{WEIGHTS}/{name}" for name in fetched if name not in DECLARED)]
    if own.weights not in further:
        yield f"{path}.weights: unknown {own.weights!r}; {one_of(further, own.weights)}"
    needed = networks(Part(value=recipe, layers=(), unused=unused(losses)))
    surrogate = params.entries("train_surrogate.models").get(own.surrogate.removeprefix(f"{SURROGATES}/"))
    needed += [surrogate.target.network] if surrogate else []
    for name in (one for one in dict.fromkeys(needed) if one in fetched):
        if own.weights not in (WEIGHTS, f"{WEIGHTS}/{name}") and name not in (recipe.network, *DECLARED):
            yield f"{path}.weights: needs {name}: {WEIGHTS}/{name}, or {WEIGHTS} for all networks"


def _earlier(group: str, recipe: InvertOptimise, params: Params) -> Iterator[str]:
    """An earlier group must have the recipe's images and use only the recipe's taps, by which the recipe is ranked."""
    decoded = params.entries("invert_decoder").get(group)
    known = params.entries("recipes").get(group)
    about = decoded or (known and known[0])
    if about is None:
        return  # none, or reported elsewhere
    yield from _check_images(group, about, recipe, params)
    sources: list[InvertOptimise | DecoderConfig] = [known[0]] if known else []
    if decoded:
        trained = {**params.entries("models/pretrained"), **params.entries("train_decoder.decoders")}
        sources = [trained[name] for name in decoded.decoders if name in trained]
        same = [one for one in sources if one.network == recipe.network and [*one.taps] == [*recipe.taps]]
        if len(sources) != 1 and len(same) != 1:
            yield f"{len(same)} decoders of {group} are for {_tap_label(recipe)}; needs exactly one"
    if len(sources) == 1 and (sources[0].network != recipe.network or not {*sources[0].taps} <= {*recipe.taps}):
        yield f"{group} uses {_tap_label(sources[0])}; allowed: only taps of {_tap_label(recipe)}"


def _tap_label(one: InvertOptimise | DecoderConfig) -> str:
    return f"{one.network} {'+'.join(one.taps)}"


def _check_images(group: str, earlier: Any, recipe: InvertOptimise, params: Params) -> Iterator[str]:
    needed = recipe.count or params.images(recipe.dataset, recipe.split)
    if earlier.split != recipe.split:
        yield f"{group} is for split {earlier.split}, not {recipe.split}"
    elif earlier.count is not None and (needed is None or needed > earlier.count):
        yield f"needs {needed or 'all'} images of {earlier.split}, {group} has {earlier.count}"
