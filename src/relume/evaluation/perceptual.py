"""Metrics by networks: LPIPS, and the feature error at the inverted tap. Each network is loaded once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from relume.core.images import check
from relume.data.store import batches
from relume.losses.perceptual import LPIPS_TAPS, heads_of, lpips
from relume.networks.network import Network, load
from relume.networks.taps import collect
from relume.networks.weights import WeightStore

Seen = Mapping[str, Mapping[str, Tensor]]  # network -> tap -> (N, …)
LPIPS_METRICS = {"lpips_alex": "alex", "lpips_vgg": "vgg", "lpips_squeeze": "squeeze"}  # metric -> key of LPIPS_TAPS


@dataclass(frozen=True, kw_only=True)
class FeatureExtractor:
    """One forward pass per network for all metrics, in float32."""

    networks: Mapping[str, Network]
    taps: Mapping[str, tuple[str, ...]]  # network -> taps of all metrics
    heads: Mapping[str, list[Tensor]]  # LPIPS metric -> its heads

    @torch.no_grad()
    def look(self, images: Tensor, networks: Iterable[str]) -> dict[str, dict[str, Tensor]]:
        """Features of (N, 3, H, W) by these networks. Raises ValueError for values outside [0, 1]."""
        names = list(networks)
        try:
            check(images)
        except ValueError as error:
            raise ValueError(f"metrics that see through {', '.join(names)}: {error}") from None
        seen = {}
        for name in names:
            with collect(self.networks[name], self.taps[name]) as taps:
                seen[name] = {tap: value.float() for tap, value in taps(images).items()}
        return seen

    def embed(
        self,
        place: tuple[str, str],
        numbers: Sequence[int],
        pictures: Callable[[list[int]], Tensor],
        micro_batch: int,
        device: torch.device,
    ) -> Tensor:
        """Features of `pictures(numbers)` at a network's tap, in micro-batches: (N, …)."""
        network, tap = place
        alone = replace(self, taps={network: (tap,)})
        parts = (pictures(part).to(device) for part in batches(numbers, micro_batch))
        return torch.cat([alone.look(part, [network])[network][tap] for part in parts])

    def lpips(self, metric: str, seen: Seen, target: Seen) -> Tensor:
        """(N,)"""
        network, taps = LPIPS_TAPS[LPIPS_METRICS[metric]]
        return lpips([seen[network][tap] for tap in taps], [target[network][tap] for tap in taps], self.heads[metric])


def feature_error(seen: Mapping[str, Tensor], target: Mapping[str, Tensor], scales: Mapping[str, float]) -> Tensor:
    """mean over taps of |phi(x) - phi(x0)|^2 / scale: (N,). With the mean squared deviation as scale, the mean
    feature has error 1."""
    errors = [(seen[tap] - target[tap]).flatten(1).square().sum(1) / scale for tap, scale in scales.items()]
    return torch.stack(errors).mean(0)


def extractor(
    metrics: Iterable[str],
    inverted: Iterable[tuple[str, str]],
    store: WeightStore,
    device: torch.device,
    *,
    views: Iterable[tuple[str, str]] = (),
) -> FeatureExtractor:
    """Loads the networks of `metrics`, of `inverted` and of `views`: pairs of network and tap."""
    metrics = list(metrics)
    kinds = {metric: kind for metric, kind in LPIPS_METRICS.items() if metric in metrics}
    needed = [LPIPS_TAPS[kind] for kind in kinds.values()]
    needed += [(network, (tap,)) for network, tap in views]
    if "feature_error" in metrics:
        needed += [(network, tuple(tap.split("+"))) for network, tap in inverted]
    taps: dict[str, dict[str, None]] = {}
    for network, names in needed:
        taps.setdefault(network, {}).update(dict.fromkeys(names))
    return FeatureExtractor(
        networks={network: load(network, store, device) for network in taps},
        taps={network: tuple(names) for network, names in taps.items()},
        heads={
            metric: [head.to(device) for head in heads_of(kind, store.tensors(f"lpips_{kind}"))] for metric, kind in kinds.items()
        },
    )
