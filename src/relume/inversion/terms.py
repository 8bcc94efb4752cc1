"""From weights and choices in `params.yaml` to the objective's terms: which function, which network, which taps."""

from collections.abc import Mapping

import torch
from torch import Tensor

from relume.features.weights import WeightStore
from relume.inversion.config import InvertOptimise
from relume.losses import feature, image
from relume.losses.objective import Objective, State, Term
from relume.losses.perceptual import LPIPS_TAPS, heads_of, lpips

ORACLES = {"lpips", "pixel"}  # terms that look at the picture; a test holds this to the terms themselves


def objective(config: InvertOptimise, weights: Mapping[str, float], heads: Mapping[str, list[Tensor]]) -> Objective:
    """The terms whose weight is not 0. `heads`: LPIPS's linear heads by the name of their network, where that term is on."""
    makers = {"feature": _feature, "tv": _tv, "alpha_norm": _alpha_norm, "pixel": _pixel}
    terms = [makers[name](config, weight) for name, weight in weights.items() if name in makers]
    if "lpips" in weights:
        terms.append(_lpips(config, weights["lpips"], heads[config.terms.lpips.network]))
    return Objective(tuple(terms))


def heads(
    config: InvertOptimise, weights: Mapping[str, float], store: WeightStore, device: torch.device
) -> dict[str, list[Tensor]]:
    """LPIPS's linear heads, loaded only where a recipe uses them."""
    if "lpips" not in weights:
        return {}
    name = config.terms.lpips.network
    return {name: [head.to(device) for head in heads_of(name, store.tensors(f"lpips_{name}"))]}


def _feature(config: InvertOptimise, weight: float) -> Term:
    network, taps, distance = config.network, config.taps, config.terms.feature.distance

    def value(state: State) -> Tensor:
        return feature.weighted(distance, dict(state.features[network]), dict(state.targets[network]), taps)

    return Term(name="feature", weight=weight, value=value, needs={network: tuple(taps)})


def _tv(config: InvertOptimise, weight: float) -> Term:
    exponent = config.terms.tv.exponent
    return Term(name="tv", weight=weight, value=lambda state: image.tv(state.images, exponent))


def _alpha_norm(config: InvertOptimise, weight: float) -> Term:
    exponent = config.terms.alpha_norm.exponent
    return Term(name="alpha_norm", weight=weight, value=lambda state: image.alpha_norm(state.images, exponent))


def _pixel(config: InvertOptimise, weight: float) -> Term:
    def value(state: State) -> Tensor:
        if state.originals is None:
            raise ValueError("the pixel term is an oracle and was given no picture")
        return image.pixel(state.images, state.originals)

    return Term(name="pixel", weight=weight, value=value, oracle=True)


def _lpips(config: InvertOptimise, weight: float, heads: list[Tensor]) -> Term:
    network, taps = LPIPS_TAPS[config.terms.lpips.network]

    def value(state: State) -> Tensor:
        here, there = state.features[network], state.targets[network]
        return lpips([here[tap] for tap in taps], [there[tap] for tap in taps], heads)

    return Term(name="lpips", weight=weight, value=value, needs={network: tuple(taps)}, oracle=True)
