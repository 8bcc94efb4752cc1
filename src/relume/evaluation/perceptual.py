"""What networks say of likeness: LPIPS, and how well the features at the inverted tap were met. Each is loaded once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from relume.core.images import check
from relume.losses.perceptual import LPIPS_TAPS, heads_of, lpips
from relume.networks.network import Network, load
from relume.networks.taps import collect
from relume.networks.weights import WeightStore

Seen = Mapping[str, Mapping[str, Tensor]]  # network -> tap -> (N, …)
LPIPS_METRICS = {"lpips_alex": "alex", "lpips_vgg": "vgg", "lpips_squeeze": "squeeze"}  # metric -> key of LPIPS_TAPS


def taps_of(tap: str) -> list[str]:
    """The taps that a tap column names: `conv3+conv5` are two."""
    return tap.split("+")


@dataclass(frozen=True, kw_only=True)
class FeatureExtractor:
    """One forward pass of each network serves every metric that looks through it. Everything is measured in float32."""

    networks: Mapping[str, Network]
    taps: Mapping[str, tuple[str, ...]]  # network -> what metrics look at
    heads: Mapping[str, list[Tensor]]  # LPIPS metric -> its heads

    @torch.no_grad()
    def look(self, images: Tensor, networks: Iterable[str]) -> dict[str, dict[str, Tensor]]:
        """What these networks see in (N, 3, H, W), for `lpips` and feature errors; refused are values outside [0, 1]."""
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
        """What is seen at a network's tap in `pictures` of these numbers, a micro-batch at a time: (N, …)."""
        network, tap = place
        alone = replace(self, taps={network: (tap,)})
        parts = [list(numbers[at : at + micro_batch]) for at in range(0, len(numbers), micro_batch)]
        return torch.cat([alone.look(pictures(part).to(device), [network])[network][tap] for part in parts])

    def lpips(self, metric: str, seen: Seen, target: Seen) -> Tensor:
        """(N,)"""
        network, taps = LPIPS_TAPS[LPIPS_METRICS[metric]]
        return lpips([seen[network][tap] for tap in taps], [target[network][tap] for tap in taps], self.heads[metric])


def feature_error(seen: Mapping[str, Tensor], target: Mapping[str, Tensor], scales: Mapping[str, float]) -> Tensor:
    """mean over taps of |phi(x) - phi(x0)|^2 / scale: (N,). At the mean squared deviation as scale, 1 is as bad as the mean
    feature."""
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
    """Loads what `metrics` need, for features that were `inverted`, and for `views`: pairs of network and tap."""
    wanted = list(metrics)
    asked = [LPIPS_TAPS[kind] for metric, kind in LPIPS_METRICS.items() if metric in wanted]
    asked += [(network, (tap,)) for network, tap in views]
    if "feature_error" in wanted:
        asked += [(network, tuple(taps_of(tap))) for network, tap in inverted]
    taps: dict[str, dict[str, None]] = {}
    for network, names in asked:
        taps.setdefault(network, {}).update(dict.fromkeys(names))
    return FeatureExtractor(
        networks={network: load(network, store, device) for network in taps},
        taps={network: tuple(names) for network, names in taps.items()},
        heads={
            metric: [head.to(device) for head in heads_of(kind, store.tensors(f"lpips_{kind}"))]
            for metric, kind in LPIPS_METRICS.items()
            if metric in wanted
        },
    )
