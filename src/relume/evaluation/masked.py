"""Metrics of masked predictions per image, and the baselines of masked reconstruction. Errors over hidden pixels, over all pixels
and of the pasted image are separate: the training loss ignores visible pixels, and pasting improves every method. Baselines have
the models' images and masks, use the visible pixels only and keep them. A model below `floor_linear` is worse than a linear
predictor. Images are (N, 3, H, W) in [0, 1], hidden cells (N, side, side)."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.data.linear import LinearFill
from relume.data.masks import in_pixels
from relume.data.store import Dataset
from relume.evaluation.floors import known, mean_picture
from relume.evaluation.metrics import MASKED_METRICS
from relume.evaluation.pixel import PSNR_CAP, mse, psnr, ssim

COLUMNS = tuple(MASKED_METRICS)


def paste(pictures: Tensor, images: Tensor, hidden: Tensor) -> Tensor:
    """The prediction where hidden, the image elsewhere."""
    return torch.where(in_pixels(hidden, _cell(images, hidden)), pictures, images)


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


# exponents of the distances: the best integers on CIFAR-10 with 85 % hidden, within 0.05 dB
CELL_POWER, PIXEL_POWER = 2.0, 3.0
CHUNK = 2048  # hidden pixels in one matrix of distances

Filler = Callable[[Tensor, Tensor], Tensor]


def mean_patch(mean: Tensor) -> Filler:
    """Hidden cells from the mean training image, `mean` (1, 3, H, W)."""
    return lambda images, hidden: paste(mean.to(images).expand_as(images), images, hidden)


def mean_visible(images: Tensor, hidden: Tensor) -> Tensor:
    """The mean colour of the visible pixels."""
    shown = (~in_pixels(hidden, _cell(images, hidden))).to(images)
    colour = (images * shown).sum((2, 3)) / shown.sum((2, 3))
    return paste(colour[..., None, None].expand_as(images), images, hidden)


def nearest_visible(images: Tensor, hidden: Tensor) -> Tensor:
    """The mean colour of the nearest visible cell; for ties, the first in row-major order."""
    nearest = _distances(hidden).argmin(-1)  # (N, cells)
    return _coloured(images, hidden, F.one_hot(nearest, hidden[0].numel()).to(images))


def inverse_distance(images: Tensor, hidden: Tensor) -> Tensor:
    """The mean colours of all visible cells, weighted by distance^-2 between centres (Shepard 1968)."""
    weights = _distances(hidden).clamp_min(1e-3) ** -CELL_POWER
    return _coloured(images, hidden, weights / weights.sum(-1, keepdim=True))


def inverse_distance_pixels(images: Tensor, hidden: Tensor) -> Tensor:
    """The same pixel by pixel, by distance^-3: smooth within cells, and the best of these baselines."""
    filled = images.clone()
    places = torch.cartesian_prod(*(torch.arange(side, device=images.device) for side in images.shape[-2:])).float()
    for row, dark in enumerate(in_pixels(hidden, _cell(images, hidden)).flatten(1)):
        pixels = filled[row].flatten(1)  # a view: (3, H W)
        shown = pixels[:, ~dark]
        for part in dark.nonzero().flatten().split(CHUNK):
            weights = torch.cdist(places[part], places[~dark]) ** -PIXEL_POWER
            pixels[:, part] = shown @ (weights / weights.sum(1, keepdim=True)).T
    return filled


FILLERS: dict[str, Filler] = {
    "floor_mean_visible": mean_visible,
    "floor_nearest_visible": nearest_visible,
    "floor_inverse_distance": inverse_distance,
    "floor_inverse_distance_pixels": inverse_distance_pixels,
}
MEAN_PATCH, LINEAR = "floor_mean_patch", "floor_linear"


def fillers(dataset: Dataset, scored: str) -> dict[str, Filler]:
    """All baselines for the images of a split; trained ones need other images."""
    others = known(dataset, scored)
    if not others:
        return FILLERS
    return {MEAN_PATCH: mean_patch(mean_picture(dataset, others)), **FILLERS, LINEAR: LinearFill.fit(dataset, others)}


def _cell(images: Tensor, hidden: Tensor) -> int:
    cell = images.shape[-1] // hidden.shape[-1]
    if tuple(images.shape[-2:]) != tuple(cell * side for side in hidden.shape[-2:]) or len(images) != len(hidden):
        raise ValueError(f"pictures {tuple(images.shape)} are not made of cells {tuple(hidden.shape)}")
    return cell


def _distances(hidden: Tensor) -> Tensor:
    """Distances from every cell to every visible one, in cells; infinite to hidden ones: (N, cells, cells)."""
    places = torch.cartesian_prod(*(torch.arange(side, device=hidden.device) for side in hidden.shape[-2:])).float()
    return torch.cdist(places, places)[None].masked_fill(hidden.flatten(1)[:, None], torch.inf)


def _coloured(images: Tensor, hidden: Tensor, weights: Tensor) -> Tensor:
    """Fills hidden cells with weighted means of the cells' mean colours; `weights` (N, cells, cells)."""
    cell = _cell(images, hidden)
    means = F.avg_pool2d(images, cell)  # (N, 3, side, side)
    mixed = torch.einsum("nij,ncj->nci", weights, means.flatten(2)).view_as(means)
    return paste(mixed.repeat_interleave(cell, 2).repeat_interleave(cell, 3), images, hidden)
