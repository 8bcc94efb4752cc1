"""An objective without a discriminator: a frozen network's features of samples and of real images must match as sets, as in GFMN
(Santos et al., arXiv 1904.02762), by a kernel (GMMN, Li et al., arXiv 1502.02761); colours and grain are added."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.core.images import resize
from relume.losses.gan import discrepancy
from relume.methods.gan.config import Moments
from relume.networks.network import Network
from relume.networks.taps import collect

FLOOR = 0.05  # of the mean std, added to each std: bounds the weight of nearly constant features
VARIANCE_EPS = 1e-4  # added to variances: the square root has no gradient at 0
COARSE_GRID = 8  # cells per side of the images


class ReferenceFeatures:
    """Features of real images, (M, D) per kind, standardised to mean 0 and std 1."""

    def __init__(self, config: Moments, network: Network, pictures: Iterable[Tensor]) -> None:
        """`pictures`: batches (N, 3, H, H) in [0, 1]; each image is also used mirrored."""
        self.config, self.network = config, network
        with torch.no_grad():
            batches = [self._features(part) for batch in pictures for part in (batch, batch.flip(3))]
        features = [torch.cat(parts) for parts in zip(*batches, strict=True)]
        self.means = [one.mean(0) for one in features]
        self.scales = [one.std(0) + FLOOR * one.std(0).mean() for one in features]
        self.true = self._standardised(features)

    def __call__(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, H) -> (N,): each image's share of the MMD to the real images, mean over all kinds of features."""
        made = self._standardised(self._features(pictures))
        return torch.stack([discrepancy(own, true) for own, true in zip(made, self.true, strict=True)]).mean(0)

    def _features(self, pictures: Tensor) -> list[Tensor]:
        """(N, D) per kind: coarse colours, grain, and per tap the channels' means over cells and their std."""
        with collect(self.network, self.config.taps) as tapped:
            maps = tapped(resize(pictures, self.config.pixels or pictures.shape[-1])).values()
        taps = [torch.cat([_means(x.float(), self.config.cells), _deviations(x.float())], dim=1) for x in maps]
        return [_means(pictures, COARSE_GRID), grain(pictures), *taps]

    def _standardised(self, values: list[Tensor]) -> list[Tensor]:
        return [(one - mean) / scale for one, mean, scale in zip(values, self.means, self.scales, strict=True)]


def grain(pictures: Tensor) -> Tensor:
    """Mean absolute differences of vertical and horizontal neighbours, each colour's mean and std: (N, 3, H, W) -> (N, 8)."""
    steps = [pictures.diff(dim=dim).abs().mean((1, 2, 3)) for dim in (2, 3)]
    return torch.cat([torch.stack(steps, dim=1), pictures.mean((2, 3)), _deviations(pictures)], dim=1)


def _means(x: Tensor, cells: int) -> Tensor:
    """(N, C, H, H) -> (N, C cells^2); at most one cell per position."""
    return F.adaptive_avg_pool2d(x, min(cells, x.shape[-1])).flatten(1)


def _deviations(x: Tensor) -> Tensor:
    return (x.var((2, 3), correction=0) + VARIANCE_EPS).sqrt()
