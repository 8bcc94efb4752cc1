"""Perceptual distances: LPIPS v0.1 (Zhang et al., arXiv 1801.03924) as a function of taps, and SSIM (Wang et al. 2004). LPIPS's
scaling layer is ImageNet's normalisation for inputs in [-1, 1]; our networks apply the same for [0, 1]."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

EPS = 1e-10  # as in LPIPS v0.1
SIGMA = 1.5  # of the Gaussian window of SSIM, of any side

# variant -> (network, taps in the order of the heads); the heads are the weights `lpips_<variant>`
LPIPS_TAPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "alex": ("alexnet_conv", ("conv1", "conv2", "conv3", "conv4", "conv5")),
    "vgg": ("vgg16_conv", ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")),
    "squeeze": ("squeezenet1_1", ("conv1", "fire3", "fire5", "fire6", "fire7", "fire8", "fire9")),
}


def lpips(taps: Sequence[Tensor], target_taps: Sequence[Tensor], heads: Sequence[Tensor]) -> Tensor:
    """sum_l mean_hw w_l . (u_l - v_l)^2 with u, v of unit length along channels: (N, C_l, H_l, W_l) x L -> (N,). 0 for equal
    images, about 1 for unrelated ones; heads are (C_l,), not negative."""
    if not len(taps) == len(target_taps) == len(heads):
        raise ValueError(f"lpips: {len(taps)} taps, {len(target_taps)} target taps and {len(heads)} heads")
    layers = [_layer(*layer) for layer in zip(taps, target_taps, heads, strict=True)]
    return torch.stack(layers).sum(0)


def _layer(x: Tensor, y: Tensor, w: Tensor) -> Tensor:
    if x.shape != y.shape or x.ndim != 4 or w.numel() != x.shape[1]:
        raise ValueError(f"lpips: a tap {tuple(x.shape)} against {tuple(y.shape)} with a head of {w.numel()}")
    difference = (_unit(x) - _unit(y)).square()  # (N, C, H, W)
    return difference.mean((2, 3)) @ w.float().flatten()


def _unit(x: Tensor) -> Tensor:
    """Feature vectors of unit length. EPS^2 under the root keeps the gradient finite at zero."""
    x = x.float()
    length = (x.square().sum(1, keepdim=True) + EPS**2).sqrt()
    return x / (length + EPS)


def heads_of(variant: str, tensors: Mapping[str, Tensor]) -> list[Tensor]:
    """The weights `lpips_<variant>` as heads (C_l,) in the order of the taps, which is that of their names."""
    if len(tensors) != len(LPIPS_TAPS[variant][1]):
        raise ValueError(f"lpips_{variant}: needs {len(LPIPS_TAPS[variant][1])} heads, got {sorted(tensors)}")
    return [tensors[name].flatten() for name in sorted(tensors)]


def ssim(images: Tensor, originals: Tensor, windows: tuple[int, ...]) -> Tensor:
    """1 - SSIM: (N, 3, H, W), (N, 3, H, W) in [0, 1] -> (N,) in [0, 2]; 0 for equal images. The mean over valid window positions,
    RGB and the windows (odd sides). An oracle in feature inversion."""
    from pytorch_msssim import ssim as compute

    side = min(images.shape[-2:])
    if max(windows) > side:
        raise ValueError(f"ssim: a window of {max(windows)} does not fit into an image of {side} px")
    x, y = images.float(), originals.float()
    parts = [compute(x, y, data_range=1.0, size_average=False, win_size=window, win_sigma=SIGMA) for window in windows]
    return 1 - torch.stack(parts).mean(0)
