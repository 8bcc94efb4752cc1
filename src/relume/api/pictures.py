"""What counts as images: files, folders, PIL images, arrays, tensors and lists of them, and names of entry points of the group
`relume.datasets`: functions that return such -> float (N, C, size, size) in [0, 1]."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from relume.core.errors import UserError
from relume.core.images import as_channels, resize
from relume.core.registry import added, plugins
from relume.data.decode import EXTENSIONS, BadPicture, decode, square

Images = str | Path | Image.Image | np.ndarray | Tensor | Sequence[Any]
SMALLEST = 8  # px; less is no picture


def side_of(images: Images) -> int | None:
    """The side of arrays and tensors, which are taken as they are; None for pictures that have to be cut to a square."""
    if isinstance(images, np.ndarray | Tensor):
        height, width = images.shape[-2:] if isinstance(images, Tensor) else _height_width(images)
        return int(height) if height == width else None
    if isinstance(images, list | tuple) and images:
        sides = {side_of(image) for image in images}
        return sides.pop() if len(sides) == 1 else None
    return None


def _height_width(array: np.ndarray) -> tuple[int, int]:
    last = array.ndim in (3, 4) and array.shape[-1] in (1, 3, 4)
    return (array.shape[-3], array.shape[-2]) if last else (array.shape[-2], array.shape[-1])


def load(images: Images, *, size: int, channels: int) -> Tensor:
    """The central squares at `size` pixels. RGB becomes grey or opaque RGBA where the network takes 1 or 4 channels."""
    if size < SMALLEST:
        raise UserError(f"size: must be at least {SMALLEST}, got {size}")
    found = torch.cat(_each(images, size, channels))
    if not len(found):
        raise UserError("images: there are none")
    return found


def _each(images: Images, size: int, channels: int) -> list[Tensor]:
    match images:
        case str() if images in plugins("datasets"):
            return _each(added("datasets", images)(), size, channels)
        case str() | Path():
            return [_picture(path, size, channels) for path in _files(Path(images).expanduser())]
        case Image.Image():
            return [_squared(images, "images", size, channels)]
        case np.ndarray():
            return [_array(images, size, channels)]
        case Tensor():
            return [_tensor(images, size, channels)]
        case list() | tuple():
            return [one for image in images for one in _each(image, size, channels)]
    raise UserError(f"images: a path, PIL image, array, tensor or a list of these is needed, got {type(images).__name__}")


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in EXTENSIONS)
    if not found:
        raise UserError(f"images: no picture in the folder {path}; allowed: {', '.join(sorted(EXTENSIONS))}")
    return found


def _picture(path: Path, size: int, channels: int) -> Tensor:
    try:
        data = path.read_bytes()
        if channels == 4:
            with Image.open(path) as image:
                return _squared(image.convert("RGBA"), str(path), size, channels)
        return _squared(decode(data), str(path), size, channels)
    except (OSError, BadPicture) as error:
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _squared(image: Image.Image, name: str, size: int, channels: int) -> Tensor:
    if min(image.size) < SMALLEST:
        raise UserError(f"{name}: has {image.size[0]} x {image.size[1]} pixels, at least {SMALLEST} x {SMALLEST} are needed")
    if min(image.size) < size:
        warnings.warn(f"{name}: {min(image.size)} px, enlarged to {size}", stacklevel=2)
    pixels = square(image.convert("RGBA" if channels == 4 else "RGB"), size)
    tensor = torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()).float().div_(255)
    return tensor if channels == 4 else as_channels(tensor, channels)


def _array(array: np.ndarray, size: int, channels: int) -> Tensor:
    """uint8 or float, (H, W), (H, W, C) or (N, H, W, C)."""
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or array.shape[-1] not in (1, 3, 4):
        raise UserError(f"images: an array (H, W), (H, W, C) or (N, H, W, C) of 1, 3 or 4 channels is needed, got {array.shape}")
    return _tensor(torch.from_numpy(np.ascontiguousarray(array)).permute(0, 3, 1, 2), size, channels)


def _tensor(tensor: Tensor, size: int, channels: int) -> Tensor:
    """uint8, or float in [0, 1]: (C, H, W) or (N, C, H, W)."""
    tensor = tensor[None] if tensor.ndim == 3 else tensor
    if tensor.ndim != 4 or tensor.shape[1] not in (1, 3, 4):
        raise UserError(
            f"images: a tensor (C, H, W) or (N, C, H, W) of 1, 3 or 4 channels is needed, got {tuple(tensor.shape)}; "
            "arrays have their channels last"
        )
    values = tensor.detach().cpu().float() / (1 if tensor.is_floating_point() else 255)
    low, high = (float(value) for value in values.aminmax()) if values.numel() else (0.0, 0.0)
    if not (low >= -1e-6 and high <= 1 + 1e-6):
        hint = "divide by 255" if low >= 0 and high <= 255 else "give images before they are normalised, and mean= and std="
        raise UserError(f"images: values must be in [0, 1], got {low:.4g} to {high:.4g}: {hint}")
    if values.shape[1] == 4 and channels != 4:
        values = values[:, :3] * values[:, 3:] + 1 - values[:, 3:]  # over white, as pictures with transparency
    if values.shape[1] != channels:
        values = as_channels(values.expand(-1, 3, -1, -1), channels)
    height, width = values.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return resize(values[..., top : top + side, left : left + side], size).clamp(0, 1)
