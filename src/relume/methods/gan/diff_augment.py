"""Differentiable augmentation of real and generated images (Zhao et al., arXiv 2006.10738): colours, translation, cutout."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.methods.gan.config import DiffAugment

DRAWS = 7  # numbers per picture
GREY = 0.5  # what is not there


def diff_augment(images: Tensor, config: DiffAugment, generators: Sequence[torch.Generator]) -> Tensor:
    """(N, 3, H, H) -> the same; row n draws from generator n, as much whatever comes of it. Untouched where nothing is asked."""
    if not config.colour and config.translate == config.cutout == 0:
        return images
    draws = torch.stack([torch.rand(DRAWS, generator=one) for one in generators], dim=1).to(images)
    if config.colour:
        images = coloured(images, draws[:3])
    if config.translate > 0:
        images = shifted(images, _whole(2 * draws[3:5] - 1, config.translate * images.shape[-1]))
    return cut(images, config.cutout, draws[5:]) if config.cutout > 0 else images


def coloured(images: Tensor, draws: Tensor) -> Tensor:
    """Brightness moved by up to 0.25, saturation times 0 to 2, contrast times 0.5 to 1.5; `draws` (3, N) in [0, 1)."""
    brightness, saturation, contrast = draws.view(3, -1, 1, 1, 1)
    images = images + (brightness - 0.5) / 2
    grey = images.mean(1, keepdim=True)
    images = grey + 2 * saturation * (images - grey)
    centre = images.mean((1, 2, 3), keepdim=True)
    return centre + (contrast + 0.5) * (images - centre)


def shifted(images: Tensor, by: Tensor) -> Tensor:
    """Down and to the right by whole pixels, `by` (2, N); grey comes in from outside."""
    n, _, side, _ = images.shape
    line = torch.arange(side, device=images.device)
    down, across = ((line - move[:, None]).clamp(-1, side) + 1 for move in by.long())  # (N, side): places in the padded picture
    padded = F.pad(images, (1, 1, 1, 1), value=GREY).permute(0, 2, 3, 1)
    rows = torch.arange(n, device=images.device).view(n, 1, 1)
    return padded[rows, down[:, :, None], across[:, None]].permute(0, 3, 1, 2)


def cut(images: Tensor, share: float, draws: Tensor) -> Tensor:
    """A square of this share of the side made grey, its centre anywhere: `draws` (2, N) in [0, 1)."""
    side = images.shape[-1]
    line = torch.arange(side, device=images.device)
    length = round(share * side)
    first = (draws * (side + 1 - length % 2)).floor() - length // 2
    down, across = ((line >= start[:, None]) & (line < start[:, None] + length) for start in first)
    return torch.where((down[:, :, None] & across[:, None])[:, None], GREY, images)


def _whole(draws: Tensor, most: float) -> Tensor:
    """(-1, 1) -> whole numbers in [-most, most]."""
    return (draws * (int(most) + 0.5)).round()
