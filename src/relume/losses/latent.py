"""What is asked of a latent's noise maps, per sample (StyleGAN2's projector: Karras et al., arXiv 1912.04958)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

LEAST = 8  # px: the smallest side that is looked at beside a map's own


def unlike_noise(noise: Sequence[Tensor]) -> Tensor:
    """How much neighbours agree, which in noise they do not: (N, 1, h, h) each -> (N,).

    The squared mean of n times n moved by a pixel, right and down, summed over maps and their halves down to LEAST.
    """
    found = []
    for level in noise:
        while True:
            found += [(level * level.roll(1, dim)).mean((1, 2, 3)).square() for dim in (2, 3)]
            if level.shape[-1] <= LEAST:
                break
            level = F.avg_pool2d(level, 2)
    return torch.stack(found).sum(0)
