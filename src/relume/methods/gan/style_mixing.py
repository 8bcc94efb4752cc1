"""Style mixing: the coarse layers of one w and the fine layers of another."""

import torch
from torch import Tensor

from relume.methods.gan.generator import Generator


def mixed(generator: Generator, coarse: Tensor, fine: Tensor, crossover: int) -> Tensor:
    """w or w+ each, (N, …) -> w+ (N, layers, width): the first `crossover` layers of `coarse`, the others of `fine`."""
    if not 0 <= crossover <= generator.layers:
        raise ValueError(f"crossover must be 0 to {generator.layers}, got {crossover}")
    return torch.cat([generator.spread(coarse)[:, :crossover], generator.spread(fine)[:, crossover:]], dim=1)


def truncated_coarse(generator: Generator, w: Tensor, psi: float, layers: int) -> Tensor:
    """w or w+ -> w+, with truncation of the first `layers`; published: psi 0.7, 8 layers."""
    return mixed(generator, generator.truncated(w, psi), w, layers)
