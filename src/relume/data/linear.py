"""The best linear prediction of hidden pixels from visible ones: mean and covariance of training images, one solve per mask.

    x_h = m_h + C_hv (C_vv + noise I)^-1 (x_v - m_v)

Images up to WINDOW px have one covariance for all their pixels. Larger ones are predicted in overlapping windows that share one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from relume.data.config import Masks
from relume.data.masks import in_pixels, masks_of
from relume.data.store import Dataset, batches

WINDOW = 32  # px
NOISES = (1e-3, 1e-2, 1e-1)  # in units of a pixel's mean variance
HELD_OUT, TRIED = 5, 48  # every fifth source is held out to select the noise, on this many windows
CHUNK = 2048  # images in memory at once
LIMIT = 60_000  # windows of one fit, before mirror images


@dataclass(frozen=True, kw_only=True)
class LinearFill:
    """`(images, hidden)` -> images whose hidden cells are predicted from visible pixels only."""

    mean: Tensor  # (D,), D = 3 window window
    covariance: Tensor  # (D, D)
    noise: float

    @classmethod
    def fit(cls, dataset: Dataset, rows: Sequence[int]) -> Self:
        """Fits to these images, also mirrored. The noise is selected on held-out sources."""
        sources = sorted({dataset.index[row]["source"] for row in rows})
        chosen = set(sources[::HELD_OUT])
        held_out = [row for row in rows if dataset.index[row]["source"] in chosen]
        learned = [row for row in rows if dataset.index[row]["source"] not in chosen]
        noise = NOISES[1]
        if learned:
            found = cls._fit(dataset, learned, noise)
            tried = held_out[: max(1, TRIED * WINDOW**2 // dataset.size**2)]
            noise = min(NOISES, key=lambda noise: replace(found, noise=noise)._error(dataset, tried))
        return cls._fit(dataset, rows, noise)

    @classmethod
    def _fit(cls, dataset: Dataset, rows: Sequence[int], noise: float) -> Self:
        window, count = min(WINDOW, dataset.size), 0
        sums = torch.zeros(3 * window**2)
        products = torch.zeros(3 * window**2, 3 * window**2)
        places = list(corners(dataset.size, window, window))
        rows = rows[: LIMIT // len(places)]
        for part in batches(rows, CHUNK):
            images = dataset.pixels(part) - 0.5
            for top, left in places:
                x = images[:, :, top : top + window, left : left + window]
                x = torch.cat([x, x.flip(-1)]).flatten(1)
                count += len(x)
                sums += x.sum(0)
                products.addmm_(x.T, x)
        mean = sums / count
        return cls(mean=mean + 0.5, covariance=products / count - torch.outer(mean, mean), noise=noise)

    def _error(self, dataset: Dataset, rows: Sequence[int]) -> float:
        """The squared error with 75 % of each image hidden."""
        cell = next(cell for cell in range(max(1, dataset.size // 8), 0, -1) if dataset.size % cell == 0)
        masks = Masks(pattern="random", ratio=0.75, cell=cell)
        images = dataset.pixels(list(rows))
        hidden = masks_of(dataset.ids(list(rows)), dataset.size // cell, masks, seed=0)
        return float((self(images, hidden) - images).square().mean())

    def __call__(self, images: Tensor, hidden: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] and (N, side, side) -> (N, 3, H, W)."""
        window = round((len(self.mean) / 3) ** 0.5)
        dark = in_pixels(hidden, images.shape[-1] // hidden.shape[-1]).expand_as(images)
        total, times = torch.zeros_like(images), torch.zeros_like(images[:1, :1])
        for top, left in corners(images.shape[-1], window, max(1, window // 2)):
            here = (..., slice(top, top + window), slice(left, left + window))
            total[here] += self._predict(images[here], dark[here])
            times[here] += 1
        return torch.where(dark, (total / times).clamp(0, 1), images)

    def _predict(self, images: Tensor, dark: Tensor) -> Tensor:
        """All pixels of one window: (N, 3, w, w). Images with the same mask share the solve."""
        mean, covariance = self.mean.to(images), self.covariance.to(images)
        masks, which = dark.flatten(1).unique(dim=0, return_inverse=True)
        filled = torch.empty_like(images).flatten(1)
        for number, mask in enumerate(masks):
            seen, rows = (~mask).nonzero().flatten(), (which == number).nonzero().flatten()
            known = covariance[seen]
            square = known[:, seen]
            square.diagonal().add_(self.noise * covariance.diagonal().mean())
            values = (images.flatten(1)[rows[:, None], seen] - mean[seen]).T
            filled[rows] = mean + torch.cholesky_solve(values, torch.linalg.cholesky(square)).T @ known
        return filled.view_as(images)


def corners(size: int, window: int, step: int) -> Iterator[tuple[int, int]]:
    """Top and left of windows that cover the image."""
    steps = sorted({*range(0, size - window + 1, step), size - window})
    return ((top, left) for top in steps for left in steps)
