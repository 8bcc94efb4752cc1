"""The guide: a coarse image predicted from features by ridge regression, fitted on training images. Deep features hardly depend
on the lowest frequencies, so optimisation alone does not change the initial brightness and colours."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.core.errors import UserError
from relume.core.images import resize
from relume.losses.config import GuideTerm
from relume.networks.taps import spatial

WIDEST = 12288  # features per cell, at most: the normal equations hold its square


@dataclass(frozen=True, kw_only=True)
class Guide:
    """image(features) = centre + (features - mean) @ gradient, per cell of a grid, or for the whole image if pooled."""

    config: GuideTerm
    mean: Tensor  # (D,)
    centre: Tensor  # (K,)
    gradient: Tensor  # (D, K)
    channels: int = 3  # of the image

    def read(self, features: Mapping[str, Tensor]) -> Tensor:
        """tap -> (N, …) to the coarse image (N, C, g, g) in [0, 1]."""
        read = (design(features, self.config) - self.mean) @ self.gradient + self.centre
        return unfold(read, self.config.grid, self.channels).clamp(0, 1)


def fit(extract: Callable[[Tensor], Mapping[str, Tensor]], batches: Iterable[Tensor], config: GuideTerm) -> Guide:
    """`extract`: images -> features by tap. `batches`: training images; each is also used mirrored."""
    total, channels = Normal(), 3
    for images in batches:
        channels = images.shape[1]
        images = torch.cat([images, images.flip(-1)])
        x = design(extract(images), config)
        if x.shape[1] > WIDEST:
            raise UserError(f"terms.guide: a cell has {x.shape[1]} features, allowed are {WIDEST}: choose a smaller reach")
        total.add(x, fold(resize(images, config.grid), pooled=len(x) == len(images)))
    mean, centre, gradient = total.solve(config.ridge)
    # row-major, so that a matrix read from a file gives the same bits
    matrix = gradient.float().contiguous()
    return Guide(config=config, mean=mean.float(), centre=centre.float(), gradient=matrix, channels=channels)


class Normal:
    """The normal equations of a linear regression, batch by batch: products in float32, which is faster, relative to the mean of
    the first batch, for precision; sums in float64."""

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
        """Means and gradient; `ridge` is relative to the mean variance of the features, hence comparable between layers."""
        mean, centre = self.sums[0] / self.count, self.sums[1] / self.count
        square = self.sums[2] / self.count - mean[:, None] * mean
        cross = self.sums[3] / self.count - mean[:, None] * centre
        square.diagonal().add_(ridge * square.diagonal().mean().clamp_min(1e-12))
        return mean + self.about, centre, torch.linalg.solve(square, cross)


def design(features: Mapping[str, Tensor], config: GuideTerm) -> Tensor:
    """The inputs of the regression: (N, D) if all features are pooled, else a row per cell of the grid, (N * g * g, D)."""
    values = [spatial(value) for value in features.values()]
    if all(value.ndim == 2 for value in values):
        return torch.cat(values, 1)
    grid = config.grid
    maps = [resize(value if value.ndim == 4 else value[:, :, None, None], grid) for value in values]
    around = F.unfold(torch.cat(maps, 1), config.reach, padding=config.reach // 2)  # (N, D, g * g)
    return around.transpose(1, 2).flatten(0, 1)


def fold(images: Tensor, *, pooled: bool) -> Tensor:
    """(N, C, g, g) -> a row per image or per cell."""
    return images.flatten(1) if pooled else images.permute(0, 2, 3, 1).flatten(0, 2)


def unfold(rows: Tensor, grid: int, channels: int = 3) -> Tensor:
    """The inverse of `fold`."""
    if rows.shape[1] == channels * grid**2 and grid > 1:
        return rows.unflatten(1, (channels, grid, grid))
    return rows.reshape(-1, grid, grid, channels).permute(0, 3, 1, 2)
