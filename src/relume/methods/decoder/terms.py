"""What teaches a decoder: how far its pictures are from the true ones, by terms of weight, and what must be seen for them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from relume.losses import feature, image
from relume.losses.perceptual import LPIPS_TAPS, lpips
from relume.methods.decoder.config import DecoderConfig
from relume.networks.taps import Seen
from relume.training.trainer import LOSS

Wanted = Mapping[str, tuple[str, ...]]  # network -> taps


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Decoded pictures and true ones, (N, 3, H, W), and what networks see in each."""

    pictures: Tensor
    images: Tensor
    seen: Seen
    target: Seen


def wishes(config: DecoderConfig, *, decoded: bool) -> Wanted:
    """The taps needed of the real images, or with `decoded` of the decoder's images. Features in the cache are not needed."""
    parts: list[tuple[str, tuple[str, ...]]] = []
    own = config.losses.feature > 0 if decoded else not config.cached
    if own:
        parts.append((config.network, config.taps))
    if config.losses.lpips > 0:
        parts.append(LPIPS_TAPS[config.measures.lpips.network])
    found: dict[str, tuple[str, ...]] = {}
    for network, taps in parts:
        found[network] = tuple(dict.fromkeys([*found.get(network, ()), *taps]))
    return found


def terms(config: DecoderConfig, heads: Sequence[Tensor], pair: Pair) -> dict[str, Tensor]:
    """Every term of non-zero weight, unweighted, and their weighted sum: (N,). Without `adversarial`, whose scale drifts."""
    weights = {name: weight for name, weight in asdict(config.losses).items() if name in TERMS and weight > 0}
    found = {name: TERMS[name](config, heads, pair) for name in weights}
    total = torch.stack([weight * found[name] for name, weight in weights.items()]).sum(0)
    return {LOSS: total, **found}


def _pixel(config: DecoderConfig, heads: Sequence[Tensor], pair: Pair) -> Tensor:
    if config.measures.pixel == "l1":
        return (pair.pictures - pair.images).abs().flatten(1).mean(1)
    return image.pixel(pair.pictures, pair.images)


def _lpips(config: DecoderConfig, heads: Sequence[Tensor], pair: Pair) -> Tensor:
    network, taps = LPIPS_TAPS[config.measures.lpips.network]
    here, there = pair.seen[network], pair.target[network]
    return lpips([here[tap] for tap in taps], [there[tap] for tap in taps], heads)


def _feature(config: DecoderConfig, heads: Sequence[Tensor], pair: Pair) -> Tensor:
    here, there = pair.seen[config.network], pair.target[config.network]
    return feature.weighted("relative_l2", here, there, dict.fromkeys(config.taps, 1.0))


TERMS = {"pixel": _pixel, "lpips": _lpips, "feature": _feature}
