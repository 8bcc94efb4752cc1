"""The guide: a coarse image read from features by ridge regression, fitted on training images. Deep features hardly depend on the
lowest frequencies, so optimisation alone leaves brightness and colours where they start."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.core.errors import UserError
from relume.core.images import resize
from relume.losses.config import GuideTerm
from relume.networks.taps import spatial

WIDEST = 12288  # numbers that one cell may read: the normal equations hold its square


@dataclass(frozen=True, kw_only=True)
class Guide:
    """picture(features) = centre + (features - mean) @ slope, for each cell of a grid, or for all of a pooled feature."""

    config: GuideTerm
    mean: Tensor  # (D,)
    centre: Tensor  # (K,)
    gradient: Tensor  # (D, K)
    channels: int = 3  # of the picture

    def read(self, features: Mapping[str, Tensor]) -> Tensor:
        """tap -> (N, …) to the coarse picture (N, C, g, g) in [0, 1]."""
        read = (design(features, self.config) - self.mean) @ self.gradient + self.centre
        return unfold(read, self.config.grid, self.channels).clamp(0, 1)


def fit(look: Callable[[Tensor], Mapping[str, Tensor]], batches: Iterable[Tensor], config: GuideTerm) -> Guide:
    """`look`: pictures -> features by tap; `batches` of training pictures, each of which is taken with its mirror image."""
    total, channels = Normal(), 3
    for images in batches:
        channels = images.shape[1]
        images = torch.cat([images, images.flip(-1)])
        x = design(look(images), config)
        if x.shape[1] > WIDEST:
            raise UserError(f"terms.guide: a cell would read {x.shape[1]} numbers, {WIDEST} at most: a smaller reach is wanted")
        total.add(x, fold(resize(images, config.grid), pooled=len(x) == len(images)))
    mean, centre, gradient = total.solve(config.ridge)
    # a matrix in the usual order: one that is read from a file gives the same bits
    slope = gradient.float().contiguous()
    return Guide(config=config, mean=mean.float(), centre=centre.float(), gradient=slope, channels=channels)


class Normal:
    """The normal equations of a linear regression, gathered batch by batch: products in single precision, which is far
    quicker, about the mean of the first batch, which keeps their digits; sums in double."""

    def __init__(self) -> None:
        self.count = 0
        self.sums: list[Tensor] = []
        self.about = torch.empty(0)

    def add(self, x: Tensor, y: Tensor) -> None:
        if not self.count:
            self.about = x.mean(0)
        x = x - self.about
        parts = [part.double() for part in (x.sum(0), y.sum(0), x.T @ x, x.T @ y)]
        self.sums = [old + part for old, part in zip(self.sums, parts, strict=True)] if self.sums else parts
        self.count += len(x)

    def solve(self, ridge: float) -> tuple[Tensor, Tensor, Tensor]:
        """Means and slope; `ridge` is in units of a feature's mean variance, so that it means the same for every layer."""
        mean, centre = self.sums[0] / self.count, self.sums[1] / self.count
        square = self.sums[2] / self.count - mean[:, None] * mean
        cross = self.sums[3] / self.count - mean[:, None] * centre
        square.diagonal().add_(ridge * square.diagonal().mean().clamp_min(1e-12))
        return mean + self.about, centre, torch.linalg.solve(square, cross)


def design(features: Mapping[str, Tensor], config: GuideTerm) -> Tensor:
    """What the map reads: (N, D) where all features are pooled, else a row per cell of the grid, (N * g * g, D)."""
    values = [spatial(value) for value in features.values()]
    if all(value.ndim == 2 for value in values):
        return torch.cat(values, 1)
    grid = config.grid
    maps = [resize(value if value.ndim == 4 else value[:, :, None, None], grid) for value in values]
    around = F.unfold(torch.cat(maps, 1), config.reach, padding=config.reach // 2)  # (N, D, g * g)
    return around.transpose(1, 2).flatten(0, 1)


def fold(pictures: Tensor, *, pooled: bool) -> Tensor:
    """(N, C, g, g) -> a row per picture or per cell."""
    return pictures.flatten(1) if pooled else pictures.permute(0, 2, 3, 1).flatten(0, 2)


def unfold(rows: Tensor, grid: int, channels: int = 3) -> Tensor:
    """`fold` undone."""
    if rows.shape[1] == channels * grid**2 and grid > 1:
        return rows.unflatten(1, (channels, grid, grid))
    return rows.reshape(-1, grid, grid, channels).permute(0, 3, 1, 2)
