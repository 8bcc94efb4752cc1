"""Tuned recipes by network family and depth of tap, as differences from `invert_optimise`; tuned at the named tap on photographs
that no table uses (docs/results/inversion.md)."""

from typing import Any

from relume.core.errors import UserError, one_of
from relume.networks.catalogue import facts

DEPTHS = ("shallow", "middle", "deep", "pooled")
FAMILIES = {  # prefix of a network's name -> family
    "alexnet": "alexnet",
    "squeezenet": "alexnet",
    "vgg": "vgg",
    "efficientnet": "efficientnet",
    "resnet": "resnet",
    "wide_resnet": "resnet",
    "inception": "resnet",
    "clip": "clip",
}


def _recipe(*, tv: float, guide: float, grid: int = 8, ridge: float = 1.0, **more: Any) -> dict[str, Any]:
    return {
        "losses": {"tv": tv, "guide": guide},
        "terms": {"guide": {"grid": grid, "ridge": ridge}},
        **more,
    }


def _tokens(*, tv: float, guide: float, **more: Any) -> dict[str, Any]:
    """Attention is global, so a cell of the guide uses one token and the class token."""
    tuned = _recipe(tv=tv, guide=guide, grid=7, **more)
    tuned["terms"]["guide"]["reach"] = 1
    return tuned


GUIDED: dict[str, Any] = {"init": {"base": "guide"}}  # for features with little spatial information
RECIPES: dict[str, dict[str, Any]] = {
    "alexnet_shallow": _recipe(tv=2.0, guide=0.0),  # tuned at conv1
    "alexnet_middle": _recipe(tv=50.0, guide=1.0),  # tuned at conv3
    "alexnet_deep": _recipe(tv=50.0, guide=3.0, grid=6, **GUIDED),  # tuned at conv5
    "alexnet_pooled": _recipe(tv=50.0, guide=3.0, grid=6, steps=150, **GUIDED),  # tuned at pool
    "vgg_shallow": _recipe(tv=2.0, guide=0.0),  # tuned at conv2_2
    "vgg_middle": _recipe(tv=3.0, guide=0.0),  # tuned at conv3_3
    "vgg_deep": _recipe(tv=10.0, guide=3.0, grid=6, **GUIDED),  # tuned at conv5_3
    "vgg_pooled": _recipe(tv=100.0, guide=10.0, grid=4, ridge=10.0, steps=150, **GUIDED),  # tuned at pool
    "efficientnet_shallow": _recipe(tv=2.0, guide=0.0),  # tuned at stage1
    "efficientnet_middle": _recipe(tv=30.0, guide=3.0, grid=6, **GUIDED),  # tuned at stage4
    "efficientnet_deep": _recipe(tv=50.0, guide=3.0, grid=6, **GUIDED),  # tuned at stage6
    "efficientnet_pooled": _recipe(tv=100.0, guide=10.0, grid=4, ridge=10.0, steps=150, **GUIDED),  # tuned at pool
    "tokens_shallow": _recipe(tv=10.0, guide=0.0),  # tuned at block 1 of a ViT-tiny with random weights
    "tokens_middle": _tokens(tv=10.0, guide=1.0),  # this and the next are not tuned: as in other families
    "tokens_deep": _tokens(tv=30.0, guide=3.0, **GUIDED),
}
RELATIVES = {
    "resnet": "efficientnet",
    "clip": "efficientnet",
}  # families without tuned recipes -> the family whose recipes they use


def decoded(name: str, network: str, taps: list[str], size: int) -> dict[str, Any]:
    """Differences from the recipe `name` for inversions that begin with a decoder's image, which is the guide, too. Tuned at
    AlexNet's conv1, conv2, conv3 and conv5, and EfficientNet-Lite0's stage2 and stage4."""
    start: dict[str, Any] = {"init": {"base": "grey", "std": 0.0}}
    if family(network) == "alexnet" and taps == ["conv1"]:  # it determines the image
        return start
    if name == "efficientnet_shallow":
        return {**_recipe(tv=5.0, guide=10.0, grid=min(64, size // 2)), **start}
    if name.endswith("_shallow"):
        return {**_recipe(tv=20.0, guide=1.0, grid=min(64, size // 2)), **start}
    return {**_recipe(tv=50.0, guide=3.0, grid=min(64, size // 4)), **start}


def family(network: str) -> str:
    """The family of a network; ResNet for unknown names."""
    return next((found for prefix, found in FAMILIES.items() if network.startswith(prefix)), "resnet")


def depth(network: str, tap: str) -> str:
    """By thirds of the network's maps, in the order of its forward pass; taps without positions are pooled."""
    taps = facts(network).taps
    if tap not in taps:
        raise UserError(f"{network} has no tap {tap!r}; {one_of(taps, tap)}")
    if taps[tap].stride is None:
        return "pooled"
    maps = list(dict.fromkeys(name.removesuffix("_pre") for name, one in taps.items() if one.stride is not None))
    return DEPTHS[3 * maps.index(tap.removesuffix("_pre")) // len(maps)]


def name_for(network: str, taps: list[str]) -> str:
    """The recipe for the shallowest of these taps, which has the most information."""
    own = family(network)
    reached = min((depth(network, tap) for tap in taps), key=DEPTHS.index)
    return f"{RELATIVES.get(own, own)}_{reached}"


def own_name(kind: str, depth: float) -> str:
    """The recipe for a layer of a user-defined network; `kind`: map, tokens or vector; `depth`: 0 to 1."""
    if kind == "vector":
        return "efficientnet_pooled"
    return f"{'tokens' if kind == 'tokens' else 'efficientnet'}_{DEPTHS[min(2, int(3 * depth))]}"


def recipe(name: str) -> dict[str, Any]:
    if name not in RECIPES:
        raise UserError(f"recipe: unknown recipe {name!r}; {one_of(RECIPES, name)}")
    return RECIPES[name]
