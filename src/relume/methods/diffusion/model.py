"""The conditional denoiser: noisy image, noise level and a frozen network's features -> expected clean image. At full noise it is
a decoder of the features; sampling lowers the noise step by step (Karras et al., arXiv 2206.00364)."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.core.errors import UserError
from relume.core.images import resize
from relume.methods.decoder.base import Moments, Normalise, Shapes, key_of
from relume.methods.diffusion.config import Noise, UNet

DATA = 0.5  # standard deviation of images in [-1, 1], as published
WAVES = 32  # sines and cosines of the noise embedding


class Denoiser(nn.Module):
    """Images are in [-1, 1]. `forward` takes noisy images, noise deviations (N,), features by tap, and per tap a mask (N,) of the
    samples that are conditioned on it."""

    def __init__(self, shapes: Shapes, size: int, config: UNet) -> None:
        super().__init__()
        cell = config.patch * 2 ** (len(config.widths) - 1)
        if size % cell:
            raise UserError(f"architecture: the coarsest grid has cells of {cell} px, and {size} px is no multiple of that")
        self.patch, self.sides = config.patch, [size // config.patch // 2**i for i in range(len(config.widths))]
        first, last, told = config.widths[0], config.widths[-1], 4 * config.widths[0]
        self.grids = {tap: self._grid(shape[1] if len(shape) == 3 else 1) for tap, shape in shapes.items()}
        self.read = nn.ModuleDict()
        for tap, shape in shapes.items():
            grid = self.grids[tap]
            self.read[key_of(tap)] = Reader(shape, config.features, config.widths[grid], self.sides[grid])
        self.tell = nn.Sequential(nn.Linear(2 * WAVES, told), nn.SiLU(), nn.Linear(told, told), nn.SiLU())
        self.enter = nn.Conv2d(3 * config.patch**2, first, 3, padding=1)
        self.down = nn.ModuleList(Block(width, told) for width in config.widths)
        pairs = list(zip(config.widths, config.widths[1:], strict=False))
        self.shrink = nn.ModuleList(nn.Conv2d(fine, coarse, 3, 2, 1) for fine, coarse in pairs)
        self.middle = nn.ModuleList(Block(last, told) for _ in range(config.depth))
        self.join = nn.ModuleList(nn.Conv2d(2 * width, width, 1) for width in config.widths)
        self.up = nn.ModuleList(Block(width, told) for width in config.widths)
        self.grow = nn.ModuleList(nn.Sequential(nn.Conv2d(coarse, 4 * fine, 1), nn.PixelShuffle(2)) for fine, coarse in pairs)
        # no norm here: predicted and input noise must have the same scale
        self.leave = _zeroed(nn.Conv2d(first, 3 * config.patch**2, 3, padding=1))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _grid(self, side: int) -> int:
        """The resolution where a tap enters: the coarsest that is not coarser than the tap."""
        return max((i for i, own in enumerate(self.sides) if own >= side), default=0)

    def set_moments(self, moments: Moments) -> None:
        for tap, (mean, deviation) in moments.items():
            reader = self.read[key_of(tap)]
            assert isinstance(reader, Reader)
            reader.normal.set(mean, deviation)

    def forward(self, noisy: Tensor, sigma: Tensor, features: Mapping[str, Tensor], shown: Mapping[str, Tensor]) -> Tensor:
        """Scales that give the network's inputs and outputs unit variance at all noise levels."""
        s = sigma.view(-1, 1, 1, 1)
        scale = (s**2 + DATA**2).sqrt()
        found = self._network(noisy / scale, sigma.log() / 4, features, shown)
        return DATA**2 / scale**2 * noisy + s * DATA / scale * found.float()

    def _network(self, x: Tensor, noise: Tensor, features: Mapping[str, Tensor], shown: Mapping[str, Tensor]) -> Tensor:
        angles = noise[:, None] * torch.exp(torch.linspace(0, math.log(10), WAVES, device=noise.device))
        told = self.tell(torch.cat([angles.sin(), angles.cos()], 1))
        read = {tap: self.read[key_of(tap)](features[tap], on) for tap, on in shown.items()}
        x = self.enter(F.pixel_unshuffle(x, self.patch).contiguous(memory_format=torch.channels_last))
        kept: list[Tensor] = []
        for i, block in enumerate(self.down):
            own = [read[tap] for tap, grid in self.grids.items() if grid == i]
            x = block(sum(own, self.shrink[i - 1](x) if i else x), told)
            kept.append(x)
        for block in self.middle:
            x = block(x, told)
        for i in reversed(range(len(self.up))):
            x = self.up[i](self.join[i](torch.cat([x, kept[i]], 1)), told)
            x = self.grow[i - 1](x) if i else x
        return F.pixel_shuffle(self.leave(x), self.patch)


class Reader(nn.Module):
    """A tap -> a condition of the U-net's grid, (N, width, side, side); 0 for masked samples. Upsampling by PixelShuffle keeps
    the layout inside each cell; interpolation would blur it."""

    def __init__(self, shape: Sequence[int], features: int, width: int, side: int) -> None:
        super().__init__()
        times = max(1, round(side / shape[1])) if len(shape) == 3 else side
        self.side, self.normal = side, Normalise(shape[0])
        self.layers = nn.Sequential(
            nn.Conv2d(shape[0], features, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(features, features, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(features, times**2 * width, 1),
            nn.PixelShuffle(times),
        )

    def forward(self, features: Tensor, on: Tensor) -> Tensor:
        maps = features if features.ndim == 4 else features[..., None, None]
        return resize(self.layers(self.normal(maps)) * on.view(-1, 1, 1, 1), self.side)


class Block(nn.Module):
    """A residual block; the noise embedding scales and shifts its input."""

    def __init__(self, width: int, told: int) -> None:
        super().__init__()
        self.norm, self.modulate = Norm(width), nn.Linear(told, 2 * width)
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.SiLU(), _zeroed(nn.Conv2d(width, width, 3, padding=1))
        )

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        scale, shift = self.modulate(told)[..., None, None].chunk(2, 1)
        return x + self.layers(self.norm(x) * (1 + scale) + shift)


class Norm(nn.LayerNorm):
    """LayerNorm over the channels of each position; on a CPU its backward pass takes a third of GroupNorm's time."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    """Zero-initialised: it starts without effect."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


Denoise = Callable[[Tensor, Tensor], Tensor]  # noisy pictures in [-1, 1], (N,) deviations -> the pictures
RHO = 7  # exponent that concentrates steps at low noise (Karras et al., arXiv 2206.00364)


def shown(features: Mapping[str, Tensor], tap: str | None) -> dict[str, Tensor]:
    """Masks that condition all samples on this tap, or on all taps."""
    return {name: values.new_full((len(values),), float(tap in (None, name))) for name, values in features.items()}


def conditioned(module: Denoiser, features: Mapping[str, Tensor], tap: str | None) -> Denoise:
    on = shown(features, tap)
    return lambda noisy, sigma: module(noisy, sigma, features, on)


def pure(size: int, generators: Sequence[torch.Generator], device: torch.device) -> Tensor:
    """Unit noise, one sample per generator, drawn on the CPU so that devices agree."""
    return torch.stack([torch.randn(3, size, size, generator=one) for one in generators]).to(device)


@torch.no_grad()
def direct(denoise: Denoise, unit: Tensor, noise: Noise) -> Tensor:
    """The expected image given the features, in one pass: (N, 3, H, W) in [0, 1]."""
    return _bounded(denoise(noise.most * unit, unit.new_full((len(unit),), noise.most)))


@torch.no_grad()
def sample(denoise: Denoise, unit: Tensor, noise: Noise, steps: int) -> Tensor:
    """One sample by Heun's method from the largest noise to zero: (N, 3, H, W) in [0, 1]."""
    ends = [value ** (1 / RHO) for value in (noise.most, noise.least)]
    sigmas = [*((ends[0] + at / max(1, steps - 1) * (ends[1] - ends[0])) ** RHO for at in range(steps)), 0.0]
    x = sigmas[0] * unit
    for here, there in zip(sigmas, sigmas[1:], strict=False):
        slope = (x - denoise(x, x.new_full((len(x),), here))) / here
        ahead = x + (there - here) * slope
        if there > 0:
            slope = (slope + (ahead - denoise(ahead, x.new_full((len(x),), there))) / there) / 2
        x = x + (there - here) * slope
    return _bounded(x)


def _bounded(x: Tensor) -> Tensor:
    return (x / 2 + 0.5).clamp(0, 1)
