"""The noise regularisation of StyleGAN2's projector (Karras et al., arXiv 1912.04958), per sample."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

MIN_SIDE = 8  # px: maps are halved down to this side


def noise_reg(noise: Sequence[Tensor]) -> Tensor:
    """The correlation of neighbours in noise maps: (N, 1, h, h) each -> (N,).

    mean(n * n shifted by one pixel)^2, right and down, summed over maps and their downsampled versions.
    """
    found = []
    for level in noise:
        while True:
            found += [(level * level.roll(1, dim)).mean((1, 2, 3)).square() for dim in (2, 3)]
            if level.shape[-1] <= MIN_SIDE:
                break
            level = F.avg_pool2d(level, 2)
    return torch.stack(found).sum(0)
