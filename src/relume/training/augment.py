"""What training pictures go through before their features are computed: mirrored, and a part of them enlarged."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.training.config import Augment


def augment(images: Tensor, config: Augment, generators: Sequence[torch.Generator]) -> Tensor:
    """(N, 3, H, W) -> the same; row n draws from generator n, as much whatever comes of it. Untouched where nothing is asked."""
    if not config.flip and config.crop == 0:
        return images
    mirror, shrink, across, down = torch.stack([torch.rand(4, generator=one) for one in generators]).unbind(1)
    side = 1 - config.crop * shrink  # of the part that is seen; the whole is 2 long in the grid's units
    sign = 1 - 2 * (mirror < 0.5).float() if config.flip else torch.ones_like(side)
    shift = (1 - side) * (2 * torch.stack([across, down]) - 1)
    zero = torch.zeros_like(side)
    theta = torch.stack([sign * side, zero, shift[0], zero, side, shift[1]], dim=1).view(-1, 2, 3).to(images)
    with torch.autocast(images.device.type, enabled=False):  # in half precision the grid would be off by fractions of a pixel
        grid = F.affine_grid(theta, list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
