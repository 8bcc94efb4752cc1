"""The initial image: a base, Gaussian noise, and multi-objective inversion's blend with noise."""

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.core.images import per_channel
from relume.core.runtime import randn
from relume.methods.optimise.config import Init
from relume.networks.facts import IMAGENET_MEAN, IMAGENET_STD


def base(images: Tensor | None, init: Init, size: int, channels: int = 3) -> Tensor:
    """(N or 1, C, size, size): `images` downscaled by averaging or upscaled bicubically; grey for None."""
    if images is None:
        return torch.full((1, channels, size, size), init.mean)
    images = images.cpu()
    if images.shape[-1] < size:
        return F.interpolate(images, size=(size, size), mode="bicubic", align_corners=False).clamp(0, 1)
    return F.interpolate(images, size=(size, size), mode="area")


def noised(images: Tensor, init: Init, seeds: list[int], *, bounded: bool = True) -> Tensor:
    """One initial image per seed, in [0, 1] if `bounded`. Both blends use the same noise."""
    noise = randn(tuple(images.shape[1:]), seeds)
    initial_image = images + init.std * noise
    if init.noising > 0:
        mean, std = (per_channel(values, images) for values in (IMAGENET_MEAN, IMAGENET_STD))
        natural = mean + std * noise  # multi-objective inversion's noise, standard normal after normalisation
        initial_image = (initial_image + init.noising * natural) / (1 + init.noising)
    return initial_image.clamp(0, 1) if bounded else initial_image
