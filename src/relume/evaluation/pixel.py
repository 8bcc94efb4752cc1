"""Pixel metrics per sample: (N, 3, H, W), (N, 3, H, W) in [0, 1] -> (N,). Means are means of these values, not of pooled
errors."""

from collections.abc import Callable

import torch
from torch import Tensor

from relume.core.images import check

WINDOW = 11  # of SSIM: Gaussian, sigma 1.5 (Wang et al. 2004)
SCALES = 5  # of MS-SSIM: the image is halved four times (Wang et al. 2003)
PSNR_CAP = 100.0  # for identical images; a difference of 1 in one 8-bit value at 224 px is 99.9 dB


def mse(x: Tensor, y: Tensor) -> Tensor:
    """mean (x - y)^2 over pixels and channels; 0 for identical images, 1 for black against white."""
    _admit("mse", x, y)
    return _mse(x, y)


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """-10 log10(mse) in dB, data range 1; at most PSNR_CAP, the value for identical images."""
    _admit("psnr", x, y)
    return (-10 * _mse(x, y).clamp_min(10 ** (-PSNR_CAP / 10)).log10()).clamp(0, PSNR_CAP)


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity in [-1, 1], mean over valid window positions and RGB; NaN where the window does not fit."""
    from pytorch_msssim import ssim as compute

    _admit("ssim", x, y)
    if min(x.shape[-2:]) < WINDOW:
        return _not_applicable(x)
    values: Tensor = compute(x.float(), y.float(), data_range=1.0, size_average=False, win_size=WINDOW)
    return values.float()


def ms_ssim(x: Tensor, y: Tensor) -> Tensor:
    """SSIM over five scales in [0, 1]; NaN where the window does not fit the smallest scale (up to 160 px)."""
    from pytorch_msssim import ms_ssim as compute

    _admit("ms_ssim", x, y)
    if min(x.shape[-2:]) <= (WINDOW - 1) * 2 ** (SCALES - 1):
        return _not_applicable(x)
    values: Tensor = compute(x.float(), y.float(), data_range=1.0, size_average=False, win_size=WINDOW)
    return values.float()


PIXEL: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mse": mse, "psnr": psnr, "ssim": ssim, "ms_ssim": ms_ssim}


def _mse(x: Tensor, y: Tensor) -> Tensor:
    return (x.float() - y.float()).square().flatten(1).mean(1)


def _not_applicable(x: Tensor) -> Tensor:
    return torch.full((len(x),), torch.nan, device=x.device)


def _admit(metric: str, x: Tensor, y: Tensor) -> None:
    """Raises ValueError for another range, another shape, NaN or Inf."""
    for what, images in (("reconstructions", x), ("originals", y)):
        try:
            check(images)
        except ValueError as error:
            raise ValueError(f"{metric}: {what}: {error}") from None
    if x.shape != y.shape:
        raise ValueError(f"{metric}: reconstructions are {tuple(x.shape)}, originals {tuple(y.shape)}")
