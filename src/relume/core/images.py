"""The image convention: float32 (N, C, H, W) in [0, 1], C = 3 (RGB) except for user-defined networks; uint8 (N, H, W, C) only in
files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from relume.core.files import atomic


def to_float(pixels: np.ndarray) -> Tensor:
    """uint8 (N, H, W, 3) -> float32 (N, 3, H, W) in [0, 1]."""
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[-1] != 3:
        raise ValueError(f"needs uint8 (N, H, W, 3), got {pixels.dtype} {pixels.shape}")
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float().div_(255)


def to_uint8(images: Tensor) -> np.ndarray:
    """float (N, C, H, W) -> uint8 (N, H, W, C), rounded; values outside [0, 1] are clamped."""
    check(images, bounded=False, channels=images.shape[1] if images.ndim == 4 else 3)
    return images.detach().float().clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def check(images: Tensor, *, bounded: bool = True, channels: int = 3) -> None:
    """Raises ValueError unless `images` follow the convention."""
    if images.ndim != 4 or images.shape[1] != channels or not images.is_floating_point():
        raise ValueError(f"needs float (N, {channels}, H, W), got {images.dtype} {tuple(images.shape)}")
    if bounded and images.numel() and not (images.min() >= -1e-6 and images.max() <= 1 + 1e-6):
        raise ValueError(f"needs images in [0, 1], got [{images.min():.3g}, {images.max():.3g}]")


def as_channels(images: Tensor, channels: int) -> Tensor:
    """RGB (N, 3, H, W) -> (N, 1, H, W), its luma (ITU-R 601), (N, 3, H, W), or (N, 4, H, W), opaque."""
    if channels == 1:
        return (images * per_channel((0.299, 0.587, 0.114), images)).sum(1, keepdim=True)
    return images if channels == 3 else torch.cat([images, torch.ones_like(images[:, :1])], 1)


def per_channel(values: Sequence[float], like: Tensor) -> Tensor:
    """One number per channel, (1, C, 1, 1); their mean if `like` (N, C, H, W) has another number of channels."""
    given = torch.tensor(values, device=like.device, dtype=like.dtype)
    return (given if len(given) == like.shape[1] else given.mean().expand(like.shape[1])).view(1, -1, 1, 1)


def resize(images: Tensor, size: int) -> Tensor:
    """To size x size, bilinear, antialiased when downscaling. Returns `images` if they have this size."""
    if images.shape[-2:] == (size, size):
        return images
    shrinks = size < max(images.shape[-2:])
    return F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False, antialias=shrinks)


def save_png(path: Path, pixels: np.ndarray) -> None:
    """Saves uint8 (H, W, 3) as PNG."""
    from PIL import Image

    with atomic(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")
