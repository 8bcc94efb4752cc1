"""What all masked models share. An image has side x side cells of `cell` pixels; `hidden` (N, side, side) says which are hidden.
Models compute in units of CENTRE and SPREAD: natural images then have a mean near 0 and a variance near 1."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.core.images import check

CENTRE, SPREAD = 0.5, 0.25


@dataclass(frozen=True, kw_only=True)
class Guess:
    """What a model makes of a batch. What is hidden has no influence on `picture`, only on the rest."""

    picture: Tensor  # (N, 3, size, size) in [0, 1]: all of it predicted, visible cells too
    loss: Tensor  # (N,)
    terms: dict[str, Tensor] = field(default_factory=dict)  # what the loss is made of, unweighted: (N,) each


class MaskedModel(nn.Module):
    """`forward(images, hidden, generator)` -> Guess; `represent(images)` -> features of whole images, (N, D). The generator, on
    the CPU, is given in training only."""

    sees_all = False  # it is shown what is hidden, too: no method, but part of one

    def __init__(self, size: int, cell: int) -> None:
        super().__init__()
        if size % cell:
            raise ValueError(f"pictures of {size} px are not made of cells of {cell} px")
        self.size, self.cell, self.side = size, cell, size // cell
        self.cells = self.side**2

    def represent(self, images: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__} has no representation of a whole picture")

    def admit(self, images: Tensor, hidden: Tensor) -> None:
        """Shapes are checked here."""
        check(images, bounded=False)
        wanted = (len(images), self.side, self.side)
        if images.shape[-1] != self.size or images.shape[-2] != self.size or tuple(hidden.shape) != wanted:
            raise ValueError(
                f"pictures of {self.size} px and hidden {wanted} are wanted, got {tuple(images.shape)}, {tuple(hidden.shape)}"
            )


def normalise(images: Tensor) -> Tensor:
    return (images - CENTRE) / SPREAD


def picture_of(values: Tensor) -> Tensor:
    """Back from a model's units, cut to [0, 1]."""
    return (values.float() * SPREAD + CENTRE).clamp(0, 1)


def patches(images: Tensor, cell: int) -> Tensor:
    """(N, C, H, W) -> (N, cells, C cell cell), row by row."""
    return F.unfold(images, cell, stride=cell).mT.contiguous()


def unpatch(values: Tensor, cell: int) -> Tensor:
    """The way back, to square pictures of three channels: (N, cells, 3 cell cell) -> (N, 3, H, H)."""
    side = round(values.shape[1] ** 0.5) * cell
    return F.fold(values.mT, (side, side), cell, stride=cell)


def interpolated(cells: Tensor, hidden: Tensor) -> Tensor:
    """Hidden cells in the visible ones' mean colours, weighted by distance^-2: (N, cells, 3 cell cell), (N, side, side)."""
    places = torch.cartesian_prod(*(torch.arange(side, device=cells.device) for side in hidden.shape[1:])).to(cells)
    dark = hidden.flatten(1)
    weights = torch.cdist(places, places).clamp_min(1e-3).pow(-2)[None].masked_fill(dark[:, None], 0)  # (N, to, from)
    colours = cells.unflatten(-1, (3, -1))
    mixed = weights / weights.sum(-1, keepdim=True) @ colours.mean(-1)  # (N, cells, 3)
    return torch.where(dark[..., None, None], mixed[..., None], colours).flatten(2)


def over_hidden(values: Tensor, hidden: Tensor) -> Tensor:
    """Means over what is hidden: (N, cells), (N, cells) -> (N,)."""
    weight = hidden.to(values)
    return (values * weight).sum(1) / weight.sum(1)


def ordered(hidden: Tensor) -> tuple[Tensor, int]:
    """(N, side, side) -> cells in the order visible, then hidden, (N, cells); how many are visible, the same in every row."""
    flat = hidden.flatten(1)
    counts = (~flat).sum(1)
    if not bool((counts == counts[0]).all()) or not 0 < int(counts[0]) < flat.shape[1]:
        raise ValueError(f"as many cells must be visible in every row, neither none nor all: {sorted(set(counts.tolist()))}")
    return flat.to(torch.uint8).argsort(dim=1, stable=True), int(counts[0])


def take(tokens: Tensor, order: Tensor) -> Tensor:
    """(N, B, D), (N, K) -> (N, K, D)."""
    return tokens.gather(1, order[..., None].expand(-1, -1, tokens.shape[-1]))
