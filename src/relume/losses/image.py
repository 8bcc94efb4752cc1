"""Priors on images and noise maps, per sample: (N, 3, H, W) -> (N,). Means over pixels: independent of the size."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

MIN_SIDE = 8  # px: noise maps are halved down to this side


def tv(images: Tensor, exponent: float) -> Tensor:
    """Total variation: mean over pixels and channels of (dx^2 + dy^2)^(exponent / 2)."""
    dx = images[..., :-1, 1:] - images[..., :-1, :-1]
    dy = images[..., 1:, :-1] - images[..., :-1, :-1]
    squares = dx.square() + dy.square()
    if exponent == 2:
        return squares.flatten(1).mean(1)
    eps = 1e-8  # the square root has no gradient at 0
    return ((squares + eps).pow(exponent / 2) - eps ** (exponent / 2)).flatten(1).mean(1)


def tv_linear(images: Tensor) -> Tensor:
    """Total variation of the multi-objective inversion: mean |dx| + mean |dy| over pixels and channels."""
    dx = images[..., :, 1:] - images[..., :, :-1]
    dy = images[..., 1:, :] - images[..., :-1, :]
    return dx.abs().flatten(1).mean(1) + dy.abs().flatten(1).mean(1)


def tv_squared_relu(images: Tensor) -> Tensor:
    """A penalty of the multi-objective inversion on t = `tv_linear`: u + 10 u^2 with u = max(t - 0.3, 0)."""
    excess = (tv_linear(images) - 0.3).relu()
    return excess + 10 * excess.square()


def alpha_norm(images: Tensor, exponent: float) -> Tensor:
    """mean |2x - 1|^exponent: 0 at mid-grey, 1 at black and white (deep-goggle's L6 for [0, 1])."""
    return (2 * images - 1).abs().pow(exponent).flatten(1).mean(1)


def pixel(images: Tensor, originals: Tensor) -> Tensor:
    """Mean squared error to the original: an oracle in feature inversion."""
    return (images - originals).square().flatten(1).mean(1)


def psnr(images: Tensor, originals: Tensor) -> Tensor:
    """In dB, data range 1; at most 100. A metric, not a loss."""
    return -10 * pixel(images, originals).clamp_min(1e-10).log10()


def noise_reg(noise: Sequence[Tensor]) -> Tensor:
    """The correlation of neighbours in noise maps: (N, 1, h, h) each -> (N,). From StyleGAN2's projector (Karras et al., arXiv
    1912.04958). mean(n * n shifted by one pixel)^2, right and down, summed over maps and their downsampled versions."""
    found = []
    for level in noise:
        while True:
            found += [(level * level.roll(1, dim)).mean((1, 2, 3)).square() for dim in (2, 3)]
            if level.shape[-1] <= MIN_SIDE:
                break
            level = F.avg_pool2d(level, 2)
    return torch.stack(found).sum(0)
