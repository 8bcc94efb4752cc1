"""Sampling from a denoiser: its prediction from pure noise, and samples in several steps."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from relume.methods.diffusion.config import Noise
from relume.methods.diffusion.model import Denoiser

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
