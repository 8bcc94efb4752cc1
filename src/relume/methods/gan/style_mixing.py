"""Pictures between others, where a w governs each layer: coarse traits of one and fine ones of another."""

import torch
from torch import Tensor

from relume.methods.gan.generator import Generator


def mixed(generator: Generator, coarse: Tensor, fine: Tensor, crossover: int) -> Tensor:
    """w or w+ each, (N, …) -> w+ (N, layers, width): the first `crossover` layers are those of `coarse`, the others of `fine`."""
    if not 0 <= crossover <= generator.layers:
        raise ValueError(f"a crossover of 0 to {generator.layers} layers is wanted, got {crossover}")
    return torch.cat([generator.spread(coarse)[:, :crossover], generator.spread(fine)[:, crossover:]], dim=1)


def truncated_coarse(generator: Generator, w: Tensor, psi: float, layers: int) -> Tensor:
    """w or w+ -> w+, the first `layers` of which are drawn towards the mean; StyleGAN's own truncation has 0.7 and 8."""
    return mixed(generator, generator.truncated(w, psi), w, layers)
