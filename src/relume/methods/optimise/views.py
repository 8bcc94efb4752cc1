"""Random views of the image as the input of the networks; metrics and regularisers use the image itself. Each row draws from its
own generator, so that its view is independent of other rows."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.core.registry import added
from relume.methods.optimise.config import Affine, Jitter, Own

Generators = Sequence[torch.Generator]


def view(images: Tensor, transforms: Sequence[Jitter | Affine | Own], generators: Generators) -> Tensor:
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


def own(images: Tensor, config: Own, generators: Generators) -> Tensor:
    """(N, C, H, W) -> the same shape, differentiable."""
    result: Tensor = added("views", config.name)(images, generators, **config.options)
    return result


TRANSFORMS: dict[type, Callable[[Tensor, Any, Generators], Tensor]] = {Jitter: jitter, Affine: affine, Own: own}
