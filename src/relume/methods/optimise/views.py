"""Random views of the image as the input of the networks; metrics and regularisers use the image itself. Each row draws from its
own generator, so that its view is independent of other rows."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.core.images import per_channel
from relume.core.registry import added
from relume.methods.optimise.config import Affine, Colour, Jitter, Own
from relume.networks.facts import IMAGENET_MEAN, IMAGENET_STD

Generators = Sequence[torch.Generator]


def view(images: Tensor, transforms: Sequence[Jitter | Affine | Colour | Own], generators: Generators) -> Tensor:
    """(N, 3, H, W) -> (N, 3, H, W) through the transforms, in order."""
    for config in transforms:
        images = TRANSFORMS[type(config)](images, config, generators)
    return images


def jitter(images: Tensor, config: Jitter, generators: Generators) -> Tensor:
    """Each image shifted cyclically by its own offset."""
    shifts = [torch.randint(-config.pixels, config.pixels + 1, (2,), generator=one).tolist() for one in generators]
    return torch.stack([image.roll(tuple(shift), dims=(1, 2)) for image, shift in zip(images, shifts, strict=True)])


def affine(images: Tensor, config: Affine, generators: Generators) -> Tensor:
    """Images rotated, shifted and scaled with `probability`; the others unchanged."""
    chance, turn, across, down, size = torch.stack([torch.rand(5, generator=one) for one in generators]).unbind(1)
    angle = math.radians(config.degrees) * (2 * turn - 1)
    shift = config.translate * (2 * torch.stack([across, down], 1) - 1)
    smallest, largest = config.scale
    result = moved(images, angle, shift, smallest + (largest - smallest) * size)
    moves = (chance < config.probability).to(images.device)
    return torch.where(moves[:, None, None, None], result, images)


def moved(images: Tensor, angle: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Square images rotated clockwise by angle (N,) in radians, scaled about the centre by scale (N,), then shifted right and
    down by shift (N, 2) in units of the side; bilinear, with border padding."""
    cos, sin, (across, down) = angle.cos(), angle.sin(), (2 * shift).unbind(1)  # the grid's coordinates are in [-1, 1]
    back = torch.stack([cos, sin, -cos * across - sin * down, -sin, cos, sin * across - cos * down], 1)
    theta = (back / scale[:, None]).view(-1, 2, 3).to(images)  # output pixel -> position in the input
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def colour(images: Tensor, config: Colour, generators: Generators) -> Tensor:
    """x -> (x - shift u) e^(stretch v), x in ImageNet's stds, u and v uniform in [-1, 1] per channel; may leave [0, 1]."""
    draws = 2 * torch.stack([torch.rand(2, images.shape[1], generator=one) for one in generators]) - 1
    mean, std = (per_channel(values, draws[:, 0, :, None, None])[..., 0, 0] for values in (IMAGENET_MEAN, IMAGENET_STD))
    centre = (mean + std * config.shift * draws[:, 0]).to(images)[:, :, None, None]  # (N, C, 1, 1)
    factor = (config.stretch * draws[:, 1]).exp().to(images)[:, :, None, None]
    return (images - centre) * factor + mean.to(images)[..., None, None]


def own(images: Tensor, config: Own, generators: Generators) -> Tensor:
    """(N, C, H, W) -> the same shape, differentiable."""
    result: Tensor = added("views", config.name)(images, generators, **config.options)
    return result


TRANSFORMS: dict[type, Callable[[Tensor, Any, Generators], Tensor]] = {Jitter: jitter, Affine: affine, Colour: colour, Own: own}
