"""Where the latents of a generator have their middle: a floor, a start, and what truncation draws towards."""

import torch

from relume.core.runtime import generator as dice
from relume.methods.gan.generator import Generator

DRAWS = 10_000


@torch.no_grad()
def centre(made: Generator, seed: int, *keys: object) -> None:
    """Its mean w becomes that of DRAWS fixed draws. Where w is z itself it is known, and stays at 0."""
    z = torch.randn(DRAWS, made.latent, generator=dice(seed, *keys, "mean")).to(made.running_mean)
    w = made.map(z)
    if w is not z:
        made.running_mean.copy_(w.double().mean(0))
