"""SSIM (Wang et al. 2004) as a loss, per sample: (N, 3, H, W), (N, 3, H, W) in [0, 1] -> (N,). An oracle in feature inversion."""

import torch
from torch import Tensor

SIGMA = 1.5  # of the Gaussian window of any side


def ssim(images: Tensor, originals: Tensor, windows: tuple[int, ...]) -> Tensor:
    """1 - SSIM in [0, 2], mean over valid window positions, RGB and the windows (odd sides); 0 for equal images."""
    from pytorch_msssim import ssim as compute

    side = min(images.shape[-2:])
    if max(windows) > side:
        raise ValueError(f"ssim: a window of {max(windows)} does not fit into an image of {side} px")
    x, y = images.float(), originals.float()
    parts = [compute(x, y, data_range=1.0, size_average=False, win_size=window, win_sigma=SIGMA) for window in windows]
    return 1 - torch.stack(parts).mean(0)
