"""Where a picture begins: a base, gaussian noise on it, and multi-objective inversion's blend with noise."""

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.core.images import per_channel
from relume.core.runtime import randn
from relume.methods.optimise.config import Init
from relume.networks.facts import IMAGENET_MEAN, IMAGENET_STD


def base(pictures: Tensor | None, init: Init, size: int, channels: int = 3) -> Tensor:
    """(N or 1, C, size, size): `pictures` shrunk by averaging or enlarged smoothly, or plain grey."""
    if pictures is None:
        return torch.full((1, channels, size, size), init.mean)
    pictures = pictures.cpu()
    if pictures.shape[-1] < size:
        return F.interpolate(pictures, size=(size, size), mode="bicubic", align_corners=False).clamp(0, 1)
    return F.interpolate(pictures, size=(size, size), mode="area")


def noised(pictures: Tensor, init: Init, seeds: list[int], *, bounded: bool = True) -> Tensor:
    """One start per seed; in [0, 1] where the space is `bounded`. The same noise serves both blends: a restart has one draw."""
    noise = randn(tuple(pictures.shape[1:]), seeds)
    initial_image = pictures + init.std * noise
    if init.noising > 0:
        mean, std = (per_channel(values, pictures) for values in (IMAGENET_MEAN, IMAGENET_STD))
        natural = mean + std * noise  # multi-objective inversion's noise: standard normal in the units of its networks
        initial_image = (initial_image + init.noising * natural) / (1 + init.noising)
    return initial_image.clamp(0, 1) if bounded else initial_image
