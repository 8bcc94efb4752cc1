"""The base class of masked models. An image has side x side cells of `cell` pixels; `hidden` (N, side, side) is True where they
are masked. Models normalise by CENTRE and SPREAD: natural images then have mean 0 and variance 1, roughly."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.core.images import check

CENTRE, SPREAD = 0.5, 0.25


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The output of a model for a batch. `picture` does not depend on hidden cells; the rest does."""

    picture: Tensor  # (N, 3, size, size) in [0, 1]: the prediction, visible cells included
    loss: Tensor  # (N,)
    terms: dict[str, Tensor] = field(default_factory=dict)  # unweighted terms of the loss: (N,) each


class MaskedModel(nn.Module):
    """`forward(images, hidden, generator)` -> Prediction; `represent(images)` -> features of whole images, (N, D). In
    training a CPU `generator` is given."""

    sees_all = False  # hidden cells are an input, too: a tokenizer, not a method

    def __init__(self, size: int, cell: int) -> None:
        super().__init__()
        if size % cell:
            raise ValueError(f"size must be a multiple of cell, {cell}; got {size}")
        self.size, self.cell, self.side = size, cell, size // cell
        self.cells = self.side**2

    def represent(self, images: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__} has no representation of an unmasked image")

    def check_inputs(self, images: Tensor, hidden: Tensor) -> None:
        """Checks the shapes."""
        check(images, bounded=False)
        expected = (len(images), self.side, self.side)
        if images.shape[-1] != self.size or images.shape[-2] != self.size or tuple(hidden.shape) != expected:
            raise ValueError(
                f"needs images of {self.size} px and hidden {expected}, got {tuple(images.shape)}, {tuple(hidden.shape)}"
            )


def normalise(images: Tensor) -> Tensor:
    return (images - CENTRE) / SPREAD


def picture_of(values: Tensor) -> Tensor:
    """The inverse of `normalise`, clamped to [0, 1]."""
    return (values.float() * SPREAD + CENTRE).clamp(0, 1)


def patches(images: Tensor, cell: int) -> Tensor:
    """(N, C, H, W) -> (N, cells, C cell cell), row by row."""
    return F.unfold(images, cell, stride=cell).mT.contiguous()


def unpatch(values: Tensor, cell: int) -> Tensor:
    """The inverse of `patches` for square images: (N, cells, 3 cell cell) -> (N, 3, H, H)."""
    side = round(values.shape[1] ** 0.5) * cell
    return F.fold(values.mT, (side, side), cell, stride=cell)


def interpolated(cells: Tensor, hidden: Tensor) -> Tensor:
    """Fills hidden cells with visible mean colours, weighted by distance^-2: (N, cells, 3 cell cell), (N, side, side)."""
    positions = torch.cartesian_prod(*(torch.arange(side, device=cells.device) for side in hidden.shape[1:])).to(cells)
    masked = hidden.flatten(1)
    weights = torch.cdist(positions, positions).clamp_min(1e-3).pow(-2)[None].masked_fill(masked[:, None], 0)  # (N, to, from)
    colours = cells.unflatten(-1, (3, -1))
    mixed = weights / weights.sum(-1, keepdim=True) @ colours.mean(-1)  # (N, cells, 3)
    return torch.where(masked[..., None, None], mixed[..., None], colours).flatten(2)


def over_hidden(values: Tensor, hidden: Tensor) -> Tensor:
    """Means over hidden cells: (N, cells), (N, cells) -> (N,)."""
    weight = hidden.to(values)
    return (values * weight).sum(1) / weight.sum(1)


def ordered(hidden: Tensor) -> tuple[Tensor, int]:
    """(N, side, side) -> cells, visible before hidden, (N, cells), and the number of visible ones, equal in all rows."""
    flat = hidden.flatten(1)
    counts = (~flat).sum(1)
    if not bool((counts == counts[0]).all()) or not 0 < int(counts[0]) < flat.shape[1]:
        raise ValueError(
            f"every row needs the same number of visible cells, neither 0 nor all; got {sorted(set(counts.tolist()))}"
        )
    return flat.to(torch.uint8).argsort(dim=1, stable=True), int(counts[0])


def take(tokens: Tensor, order: Tensor) -> Tensor:
    """(N, B, D), (N, K) -> (N, K, D)."""
    return tokens.gather(1, order[..., None].expand(-1, -1, tokens.shape[-1]))
