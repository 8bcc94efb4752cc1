"""Views: what the networks see of the picture. Drawn per sample; never what is scored or regularised."""

import torch
from torch import Tensor

from relume.inversion.config import Views


def jitter(images: Tensor, config: Views, generators: list[torch.Generator]) -> Tensor:
    """Each picture shifted by its own few pixels, cyclically (so that nothing is lost and gradients stay exact)."""
    if config.jitter == 0:
        return images
    shifts = [torch.randint(-config.jitter, config.jitter + 1, (2,), generator=one).tolist() for one in generators]
    return torch.stack([image.roll(tuple(shift), dims=(1, 2)) for image, shift in zip(images, shifts, strict=True)])
