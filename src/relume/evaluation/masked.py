"""Metrics of a masked prediction per image: over hidden pixels, over all pixels, and pasted into the visible ones. They are
separate: the training loss ignores visible pixels, and pasting improves every method."""

import torch
from torch import Tensor

from relume.data.masks import in_pixels
from relume.evaluation.metrics import MASKED_METRICS
from relume.evaluation.pixel import PSNR_CAP, mse, psnr, ssim

COLUMNS = tuple(MASKED_METRICS)


def paste(pictures: Tensor, images: Tensor, hidden: Tensor) -> Tensor:
    """The prediction where hidden, the image elsewhere."""
    return torch.where(in_pixels(hidden, images.shape[-1] // hidden.shape[-1]), pictures, images)


def score(pictures: Tensor, images: Tensor, hidden: Tensor) -> dict[str, Tensor]:
    """COLUMNS, (N,) each. All cells are of one size, so a masked error is the pasted one over the hidden share."""
    pasted = paste(pictures, images, hidden)
    error = mse(pasted, images) / hidden.flatten(1).float().mean(1)
    return {
        "psnr_masked": (-10 * error.clamp_min(10 ** (-PSNR_CAP / 10)).log10()).clamp(0, PSNR_CAP),
        "psnr_pasted": psnr(pasted, images),
        "psnr_full": psnr(pictures, images),
        "mse_masked": error,
        "ssim_pasted": ssim(pasted, images),
    }
