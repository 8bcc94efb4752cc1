"""Augmentation of training images, before their features are computed: horizontal flip, crop and resize, colour, CutMix."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.training.config import Augment

DRAWS = 9  # random numbers per image


def augment(images: Tensor, config: Augment, generators: Sequence[torch.Generator]) -> Tensor:
    """(N, 3, H, W) -> (N, 3, H, W). Row n always draws DRAWS numbers from generator n."""
    if not config.flip and config.crop == config.colour == 0:
        return images
    draws = torch.stack([torch.rand(DRAWS, generator=one) for one in generators], dim=1).to(images)
    with torch.autocast(images.device.type, enabled=False):  # in half precision the grid would be off by fractions of a pixel
        if config.flip or config.crop > 0:
            images = _moved(images, config, draws[:4])
        return _coloured(images, config.colour, draws[4:]) if config.colour > 0 else images


def cutmix(images: Tensor, others: Tensor, share: float, generators: Sequence[torch.Generator]) -> Tensor:
    """In a `share` of the images, a rectangle of 30 to 80 % of each side is that of the other image (Yun et al., arXiv
    1905.04899). Row n always draws five numbers from generator n."""
    which, *draws = torch.stack([torch.rand(5, generator=one) for one in generators], dim=1).to(images)[..., None]
    inside = []
    for length, shrunk, at in zip(images.shape[2:], draws[:2], draws[2:], strict=True):
        side = (0.3 + 0.5 * shrunk) * length
        start = at * length - side / 2  # so that it may reach over the edge
        places = torch.arange(length).to(images)
        inside.append((places >= start) & (places < start + side) & (which < share))
    return torch.where((inside[0][:, :, None] & inside[1][:, None])[:, None], others, images)


def _moved(images: Tensor, config: Augment, draws: Tensor) -> Tensor:
    mirror, shrink, across, down = draws
    side = 1 - config.crop * shrink  # of the crop, as a share; the grid's coordinates are in [-1, 1]
    sign = 1 - 2 * (mirror < 0.5).float() if config.flip else torch.ones_like(side)
    shift = (1 - side) * (2 * torch.stack([across, down]) - 1)
    zero = torch.zeros_like(side)
    theta = torch.stack([sign * side, zero, shift[0], zero, side, shift[1]], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _coloured(images: Tensor, share: float, draws: Tensor) -> Tensor:
    """Any hue, saturation times 0.3 to 1.7, contrast times 0.6 to 1.4, brightness plus -0.2 to 0.2; clamped to [0, 1]."""
    which, hue, saturation, contrast, brightness = draws
    colours = rotated(2 * math.pi * hue, 0.3 + 1.4 * saturation)
    centre = images.mean((1, 2, 3), keepdim=True)
    moved = torch.einsum("nij,njhw->nihw", colours, images) - centre
    moved = moved * (0.6 + 0.8 * contrast).view(-1, 1, 1, 1) + centre + 0.4 * (brightness - 0.5).view(-1, 1, 1, 1)
    return torch.where((which < share).view(-1, 1, 1, 1), moved.clamp(0, 1), images)


def rotated(angle: Tensor, saturation: Tensor) -> Tensor:
    """(N,), (N,) -> (N, 3, 3): rotates colours about the grey axis and scales their distance to it."""
    grey = torch.full((3, 3), 1 / 3).to(angle)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]).to(angle) / math.sqrt(3)
    cos, sin, wide = (value.view(-1, 1, 1) for value in (angle.cos(), angle.sin(), saturation))
    return grey + wide * (cos * (torch.eye(3).to(angle) - grey) + sin * cross)
