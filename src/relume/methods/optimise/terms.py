"""Builds the terms of the objective from an inversion's configuration."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.core.images import resize
from relume.losses import feature, foreign, image
from relume.losses.config import ForeignTerm
from relume.losses.feature import batchnorm
from relume.losses.objective import Objective, State, Taps, Term
from relume.losses.perceptual import LPIPS_TAPS, heads_of, lpips, ssim
from relume.methods.optimise.config import InversionConfig
from relume.networks.catalogue import facts
from relume.networks.taps import BATCHNORM
from relume.networks.weights import WeightStore

ORACLES = {"lpips", "ssim", "pixel"}  # terms that use the original image
POOL = "pool"  # the tap of a CLIP network's embedding


@dataclass(frozen=True, kw_only=True)
class Surrogate:
    """A trained map from the inverted features to another network's features."""

    network: str
    tap: str
    predict: Callable[[Mapping[str, Tensor]], Tensor]  # features by tap -> features of `network` at `tap`


@dataclass(frozen=True, kw_only=True)
class Material:
    """Inputs of the terms besides their configuration."""

    store: WeightStore  # of LPIPS's linear heads, read only if the term has a weight
    device: torch.device
    surrogate: Surrogate | None = None


Maker = Callable[[InversionConfig, float, Material], Term]


def objective(config: InversionConfig, material: Material) -> Objective:
    """The terms whose weight is not 0."""
    return Objective(tuple(MAKERS[name](config, weight, material) for name, weight in config.losses.active.items()))


def _feature(config: InversionConfig, weight: float, material: Material) -> Term:
    network, taps, distance = config.network, config.taps, config.terms.feature.distance

    def value(state: State) -> Tensor:
        return feature.weighted(distance, dict(state.features[network]), dict(state.targets[network]), taps)

    needs = {network: tuple(taps)}
    return Term(name="feature", weight=weight, value=value, needs=needs, targets=needs)


def _guide(config: InversionConfig, weight: float, material: Material) -> Term:
    """Mean squared error between the coarse image and that predicted from the target features."""
    grid = config.terms.guide.grid

    def value(state: State) -> Tensor:
        if state.guide is None:
            raise ValueError("the guide term needs a guide")
        return image.pixel(resize(state.images, grid), state.guide)

    return Term(name="guide", weight=weight, value=value, targets={config.network: tuple(config.taps)})


def _ref(config: InversionConfig, weight: float, material: Material) -> Term:
    own = config.terms.ref

    def others(state: State, network: str, tap: str) -> Tensor:
        return state.references[network][tap]

    taps = _foreign_taps(own)
    return Term(name="ref", weight=weight, value=_foreign(own, others), needs=taps, references=taps)


def _avg(config: InversionConfig, weight: float, material: Material) -> Term:
    own = config.terms.avg

    def others(state: State, network: str, tap: str) -> Tensor:
        values = state.features[network][tap]
        restarts = values.unflatten(0, (-1, state.restarts)).repeat_interleave(state.restarts, 0)  # (N, restarts, …)
        finite = torch.isfinite(restarts.flatten(2)).all(2)  # restarts with NaN are left out
        return torch.where(finite.view(*finite.shape, *[1] * (values.ndim - 1)), restarts, values[:, None])

    return Term(name="avg", weight=weight, value=_foreign(own, others), needs=_foreign_taps(own))


def _foreign_taps(own: ForeignTerm) -> dict[str, tuple[str, ...]]:
    return {network: tuple(map(own.looks_at, taps)) for network, taps in own.networks.items()}


def _foreign(own: ForeignTerm, others: Callable[[State, str, str], Tensor]) -> Callable[[State], Tensor]:
    """The weighted mean over networks and taps."""
    total = sum(weight for taps in own.networks.values() for weight in taps.values())

    def value(state: State) -> Tensor:
        parts = []
        for network, taps in own.networks.items():
            for name, weight in taps.items():
                tap = own.looks_at(name)
                values = state.features[network][tap]
                part = foreign.foreign(own.distance, own.policy, own.aggregate, values, others(state, network, tap))
                parts.append(weight / total * part)
        return torch.stack(parts).sum(0)

    return value


def _surrogate(config: InversionConfig, weight: float, material: Material) -> Term:
    learned, distance = material.surrogate, config.terms.surrogate.distance
    if learned is None:
        raise UserError("losses.surrogate: there is no trained surrogate for these features: set its weight to 0")

    def value(state: State) -> Tensor:
        predicted = learned.predict(state.targets[config.network])
        return feature.DISTANCES[distance](state.features[learned.network][learned.tap], predicted)

    needs = {learned.network: (learned.tap,)}
    return Term(name="surrogate", weight=weight, value=value, needs=needs, targets={config.network: tuple(config.taps)})


def _logits(config: InversionConfig, weight: float, material: Material) -> Term:
    oracle = not any(_leads_to_logits(config.network, tap) for tap in config.taps)
    return _one_tap("logits", config.network, "logits", config.terms.logits.distance, weight, oracle=oracle)


def _leads_to_logits(network: str, tap: str) -> bool:
    """Whether the logits are a function of this tap: a map, a layer of the head, or the pooled embedding (except for AlexNet, VGG
    and SqueezeNet, whose heads do not use it)."""
    taps = facts(network).taps
    if tap == POOL:
        return not {"fc6", "fire9"} & taps.keys()
    return tap in ("fc6", "fc6_pre", "fc7", "fc7_pre", "logits") or taps[tap].stride is not None


def _clip(config: InversionConfig, weight: float, material: Material) -> Term:
    """Not an oracle if the embedding itself is inverted. (It is not a function of the maps, which lack the class token.)"""
    own = config.terms.clip
    known = own.network == config.network and POOL in config.taps
    return _one_tap("clip", own.network, POOL, own.distance, weight, oracle=not known)


def _one_tap(name: str, network: str, tap: str, distance: str, weight: float, *, oracle: bool) -> Term:
    def value(state: State) -> Tensor:
        return feature.DISTANCES[distance](state.features[network][tap], state.targets[network][tap])

    needs: Taps = {network: (tap,)}
    return Term(name=name, weight=weight, value=value, needs=needs, targets=needs, oracle=oracle)


def _batchnorm(config: InversionConfig, weight: float, material: Material) -> Term:
    network = config.network
    return Term(
        name="batchnorm",
        weight=weight,
        value=lambda state: batchnorm(state.features[network][BATCHNORM]),
        needs={network: (BATCHNORM,)},
    )


def _tv(config: InversionConfig, weight: float, material: Material) -> Term:
    own = config.terms.tv
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "power": lambda images: image.tv(images, own.exponent),
        "linear": image.tv_linear,
        "squared_relu": image.tv_squared_relu,
    }
    function = functions[own.penalty]
    return Term(name="tv", weight=weight, value=lambda state: function(state.images))


def _alpha_norm(config: InversionConfig, weight: float, material: Material) -> Term:
    exponent = config.terms.alpha_norm.exponent
    return Term(name="alpha_norm", weight=weight, value=lambda state: image.alpha_norm(state.images, exponent))


def _pixel(config: InversionConfig, weight: float, material: Material) -> Term:
    value = _with_originals("pixel", image.pixel)
    return Term(name="pixel", weight=weight, value=value, oracle=True)


def _ssim(config: InversionConfig, weight: float, material: Material) -> Term:
    windows = config.terms.ssim.windows
    value = _with_originals("ssim", lambda images, originals: ssim(images, originals, windows))
    return Term(name="ssim", weight=weight, value=value, oracle=True)


def _with_originals(name: str, distance: Callable[[Tensor, Tensor], Tensor]) -> Callable[[State], Tensor]:
    def value(state: State) -> Tensor:
        if state.originals is None:
            raise ValueError(f"the {name} term needs the original image")
        return distance(state.images, state.originals)

    return value


def _lpips(config: InversionConfig, weight: float, material: Material) -> Term:
    name = config.terms.lpips.network
    network, taps = LPIPS_TAPS[name]
    heads = [head.to(material.device) for head in heads_of(name, material.store.tensors(f"lpips_{name}"))]

    def value(state: State) -> Tensor:
        features, targets = state.features[network], state.targets[network]
        return lpips([features[tap] for tap in taps], [targets[tap] for tap in taps], heads)

    needs = {network: tuple(taps)}
    return Term(name="lpips", weight=weight, value=value, needs=needs, targets=needs, oracle=True)


MAKERS: dict[str, Maker] = {
    "feature": _feature,
    "guide": _guide,
    "ref": _ref,
    "avg": _avg,
    "surrogate": _surrogate,
    "logits": _logits,
    "batchnorm": _batchnorm,
    "tv": _tv,
    "alpha_norm": _alpha_norm,
    "clip": _clip,
    "lpips": _lpips,
    "ssim": _ssim,
    "pixel": _pixel,
}
