"""A discriminator that sees an image and its features, as in DeePSiM (Dosovitskiy and Brox, arXiv 1602.02644). Spectral
normalisation (Miyato et al., arXiv 1802.05957), no batch normalisation: rows are independent."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

SLOPE = 0.2  # of the LeakyReLU
LEAST = 4  # side of the last map, about
HALVINGS = 5  # at most, as in DeePSiM
WIDEST = 4  # times the width


class Discriminator(nn.Module):
    """Images (N, 3, size, size) in [0, 1] and their taps, (N, C, h, h) or (N, C) -> scores (N,), high for real images.
    `channels`: C of every tap, in order."""

    def __init__(self, channels: Sequence[int], size: int, width: int) -> None:
        super().__init__()
        halvings = max(1, min(HALVINGS, round(math.log2(size / LEAST))))
        outs = [width * min(WIDEST, 2**i) for i in range(halvings)]
        halving = [spectral_norm(nn.Conv2d(i, o, 4, stride=2, padding=1)) for i, o in zip([3, *outs[:-1]], outs, strict=True)]
        self.down = nn.Sequential(*(part for layer in halving for part in (layer, nn.LeakyReLU(SLOPE))))
        self.told = _joined(sum(channels), outs[-1])
        self.extractor = nn.Sequential(_joined(2 * outs[-1], outs[-1]), spectral_norm(nn.Linear(outs[-1], 1)))

    def forward(self, pictures: Tensor, features: Sequence[Tensor]) -> Tensor:
        seen = self.down(2 * pictures - 1).sum((2, 3))
        told = self.told(torch.cat([_pooled(tap) for tap in features], dim=1))
        return self.extractor(torch.cat([seen, told], dim=1)).squeeze(1)


def _pooled(tap: Tensor) -> Tensor:
    """Means over positions, (N, C), at length root C: every tap of every network has a scale of its own."""
    means = tap.flatten(2).mean(2) if tap.ndim == 4 else tap
    return F.layer_norm(means, means.shape[1:])


def _joined(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(spectral_norm(nn.Linear(inputs, outputs)), nn.LeakyReLU(SLOPE))
