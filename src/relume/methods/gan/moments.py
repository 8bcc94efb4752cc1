"""A generator trained without a discriminator: a frozen network's features of generated and real images must match as sets, as in
GFMN (Santos et al., arXiv 1904.02762) by a kernel (GMMN, Li et al., arXiv 1502.02761); colours and grain are added."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.core.images import resize
from relume.losses.kernel import discrepancy
from relume.methods.gan.config import Moments
from relume.networks.network import Network
from relume.networks.taps import collect

FLOOR = 0.05  # of the mean deviation, added to each: what hardly ever differs is not to count most
VARIANCE_EPS = 1e-4  # added to variances: at 0 a root has no gradient
COARSE_GRID = 8  # cells per side of the pictures themselves


class ReferenceFeatures:
    """True pictures in several respects, (M, D) each, every number at mean 0 and about deviation 1."""

    def __init__(self, config: Moments, network: Network, pictures: Iterable[Tensor]) -> None:
        """`pictures`: (N, 3, H, H) in [0, 1], some at a time; their mirror images belong to the crowd, too."""
        self.config, self.network = config, network
        with torch.no_grad():
            seen = [self._seen(part) for some in pictures for part in (some, some.flip(3))]
        whole = [torch.cat(parts) for parts in zip(*seen, strict=True)]
        self.means = [one.mean(0) for one in whole]
        self.scales = [one.std(0) + FLOOR * one.std(0).mean() for one in whole]
        self.true = self._measured(whole)

    def __call__(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, H) -> (N,): how much each sets the batch apart from the crowd, the mean over all respects."""
        made = self._measured(self._seen(pictures))
        return torch.stack([discrepancy(own, true) for own, true in zip(made, self.true, strict=True)]).mean(0)

    def _seen(self, pictures: Tensor) -> list[Tensor]:
        """(N, D) each: coarse colours, grain, and of every tap the channels' means over cells and their deviations."""
        with collect(self.network, self.config.taps) as tapped:
            maps = tapped(resize(pictures, self.config.pixels or pictures.shape[-1])).values()
        taps = [torch.cat([_means(x.float(), self.config.cells), _deviations(x.float())], dim=1) for x in maps]
        return [_means(pictures, COARSE_GRID), grain(pictures), *taps]

    def _measured(self, seen: list[Tensor]) -> list[Tensor]:
        return [(one - mean) / scale for one, mean, scale in zip(seen, self.means, self.scales, strict=True)]


def grain(pictures: Tensor) -> Tensor:
    """Mean differences of neighbours down and across, and every colour's mean and deviation: (N, 3, H, W) -> (N, 8)."""
    steps = [pictures.diff(dim=dim).abs().mean((1, 2, 3)) for dim in (2, 3)]
    return torch.cat([torch.stack(steps, dim=1), pictures.mean((2, 3)), _deviations(pictures)], dim=1)


def _means(x: Tensor, cells: int) -> Tensor:
    """(N, C, H, H) -> (N, C cells^2); a smaller map's places are its cells."""
    return F.adaptive_avg_pool2d(x, min(cells, x.shape[-1])).flatten(1)


def _deviations(x: Tensor) -> Tensor:
    return (x.var((2, 3), correction=0) + VARIANCE_EPS).sqrt()
