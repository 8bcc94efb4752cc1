"""A generator without a discriminator: a frozen network is to see in made pictures what it sees in true ones.

As in GFMN (Santos et al., arXiv 1904.02762) pictures are compared by features of a classifier's layers, and as in GMMN (Li et
al., arXiv 1502.02761) as whole sets, by a kernel. Nothing here learns, so nothing learns few pictures by heart.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.core.images import resize
from relume.features.networks import Network
from relume.features.taps import collect
from relume.losses.kernel import discrepancy
from relume.training.gan_config import Moments

FLOOR = 0.05  # of the mean deviation, added to each: what hardly ever differs is not to count most
BLUNT = 1e-4  # added to variances: at 0 a root has no slope


class Crowd:
    """The true pictures as the network sees them: per tap (M, D), each number at mean 0 and about deviation 1."""

    def __init__(self, config: Moments, network: Network, pictures: Iterable[Tensor]) -> None:
        """`pictures`: (N, 3, H, H) some at a time; they are seen mirrored, too."""
        self.config, self.network = config, network
        with torch.no_grad():
            seen = [self._seen(part) for some in pictures for part in (some, some.flip(3))]
        taps = [torch.cat(parts) for parts in zip(*seen, strict=True)]
        self.means = [tap.mean(0) for tap in taps]
        self.scales = [tap.std(0) + FLOOR * tap.std(0).mean() for tap in taps]
        self.taps = self._measured(taps)

    def __call__(self, pictures: Tensor) -> Tensor:
        """How far each picture is from being one of them, for what it adds to its batch: the mean over taps, (N,)."""
        made = self._measured(self._seen(pictures))
        return torch.stack([discrepancy(own, true) for own, true in zip(made, self.taps, strict=True)]).mean(0)

    def _seen(self, pictures: Tensor) -> list[Tensor]:
        """Per tap (N, D): the channels' means over each of cells x cells parts of the map, and their deviations over it."""
        with collect(self.network, self.config.taps) as tapped:
            maps = tapped(resize(pictures, self.config.size or pictures.shape[-1])).values()
        return [torch.cat([self._means(x.float()), _deviations(x.float())], dim=1) for x in maps]

    def _means(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(x, min(self.config.cells, x.shape[-1])).flatten(1)

    def _measured(self, taps: list[Tensor]) -> list[Tensor]:
        return [(tap - mean) / scale for tap, mean, scale in zip(taps, self.means, self.scales, strict=True)]


def _deviations(x: Tensor) -> Tensor:
    return (x.var((2, 3), correction=0) + BLUNT).sqrt()
