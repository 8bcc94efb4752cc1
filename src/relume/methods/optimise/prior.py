"""Deep image prior (arXiv 1711.10925) as a decoder without skips (deep decoder, arXiv 1810.03982): untrained weights on noise."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.core.images import resize
from relume.methods.optimise.base import Parametrisation

LEAST = 4  # smallest side of a level: one pixel has no std for the normalisation
SLOPE = 0.2  # of the leaky ReLU


class Part(NamedTuple):
    """A tensor of the network's parameters, and its initial distribution."""

    shape: tuple[int, ...]
    mean: float
    std: float


class DeepPrior(Parametrisation):
    """The parameters are one network's weights per row, (N, P), run as grouped convolutions: noise -> (3x3 convolution, instance
    normalisation, leaky ReLU, upsampling) x levels -> 1x1 convolution -> sigmoid. At another size it gives another image."""

    keeps_code, bounded = True, True

    def __init__(self, channels: int, levels: int) -> None:
        self.channels, self.levels = channels, levels
        block = [
            Part((channels, channels, 3, 3), 0.0, (2 / (9 * channels)) ** 0.5),
            Part((channels,), 1.0, 0.0),  # gain and shift after the normalisation
            Part((channels,), 0.0, 0.0),
        ]
        last = [Part((3, channels, 1, 1), 0.0, channels**-0.5), Part((3,), 0.0, 0.0)]
        self.parts = block * (levels + 1) + last

    def encode(self, images: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """New weights from each row's generator; the images are ignored."""
        drawn = [[part.mean + part.std * torch.randn(part.shape, generator=one) for part in self.parts] for one in generators]
        return torch.stack([torch.cat([value.flatten() for value in values]) for values in drawn]).to(images.device)

    def decode(self, code: Tensor, size: int) -> Tensor:
        lengths = [torch.Size(part.shape).numel() for part in self.parts]
        weights = [piece.unflatten(1, part.shape) for piece, part in zip(code.split(lengths, 1), self.parts, strict=True)]
        sides = [max(LEAST, -(-size // 2**level)) for level in range(self.levels, -1, -1)]
        x = noise(self.channels, sides[0]).to(code.device).expand(len(code), -1, -1, -1)  # (N, C, h, h)
        for level, side in enumerate(sides):
            x = _block(resize(x, side), *weights[3 * level : 3 * level + 3])  # (N, C, side, side)
        kernel, shift = weights[-2:]
        return (_convolve(x, kernel) + shift[:, :, None, None]).sigmoid()


@lru_cache(maxsize=4)  # of the few sides of a run
def noise(channels: int, side: int) -> Tensor:
    """The input of every network: (1, C, h, h), always the same."""
    return torch.randn(1, channels, side, side, generator=torch.Generator().manual_seed(0))


def _block(x: Tensor, kernel: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    """(N, C, H, W) with kernel (N, C, C, 3, 3) and gain, shift (N, C): each row has its own layer."""
    normal = F.instance_norm(_convolve(x, kernel))
    return F.leaky_relu(normal * gain[:, :, None, None] + shift[:, :, None, None], SLOPE)


def _convolve(x: Tensor, kernel: Tensor) -> Tensor:
    """(N, C, H, W), (N, D, C, k, k) -> (N, D, H, W)."""
    joined = F.conv2d(x.flatten(0, 1)[None], kernel.flatten(0, 1), padding=kernel.shape[-1] // 2, groups=len(x))
    return joined[0].unflatten(0, (len(x), kernel.shape[1]))
