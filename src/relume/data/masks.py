"""Random masks. They depend on the seed and the id of the image only, so that all methods get the same masks. A mask is boolean
(side, side), True where a cell is hidden. Every pattern hides `round(ratio side side)` cells, but at least one and not all."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from relume.core.runtime import generator
from relume.data.config import Masks
from relume.data.portable import exp, log

LEAST_BLOCK = 16 / 196  # BEiT's smallest block has 16 of 14 x 14 cells
MIN_ASPECT = 0.3  # of a block
TRIES = 10  # blocks without new cells before single cells are hidden instead


def hidden_cells(side: int, ratio: float) -> int:
    """The number of cells that a ratio hides."""
    if side < 2:
        raise ValueError(f"an image of {side} x {side} cells cannot be partly hidden")
    return min(side**2 - 1, max(1, round(ratio * side**2)))


def random_mask(side: int, count: int, draw: torch.Generator) -> Tensor:
    mask = torch.zeros(side**2, dtype=torch.bool)
    mask[torch.randperm(side**2, generator=draw)[:count]] = True
    return mask.view(side, side)


def block_mask(side: int, count: int, draw: torch.Generator) -> Tensor:
    """Rectangles of at least 8 % of the cells until `count` cells are hidden; the last rectangle loses random cells."""
    mask = torch.zeros(side, side, dtype=torch.bool)
    failed = 0
    while (left := count - int(mask.sum())) > 0:
        new = random_mask(side, side**2 - 1, draw) if failed > TRIES else _rectangle(side, left, draw)
        fresh = (new & ~mask).flatten().nonzero().flatten()
        failed += len(fresh) == 0
        mask.view(-1)[fresh[torch.randperm(len(fresh), generator=draw)[:left]]] = True
    return mask


def _rectangle(side: int, most: int, draw: torch.Generator) -> Tensor:
    """A random block of at most about `most` cells."""
    where = torch.rand(4, generator=draw).tolist()
    least = max(1.0, LEAST_BLOCK * side**2)
    area = least + where[0] * max(0.0, most - least)
    aspect = exp((2 * where[1] - 1) * log(1 / MIN_ASPECT))
    height, width = (min(side, max(1, round(math.sqrt(area * by)))) for by in (aspect, 1 / aspect))
    top, left = int(where[2] * (side - height + 1)), int(where[3] * (side - width + 1))
    block = torch.zeros(side, side, dtype=torch.bool)
    block[top : top + height, left : left + width] = True
    return block


def grid_mask(side: int, count: int, draw: torch.Generator) -> Tensor:
    """The first cells of an ordered dither at a random offset are visible: at 75 % one of each 2 x 2."""
    order = bayer(side)
    down, right = torch.randint(len(order), (2,), generator=draw).tolist()
    ranks = order.roll((down, right), (0, 1))[:side, :side].flatten().argsort()
    mask = torch.ones(side**2, dtype=torch.bool)
    mask[ranks[: side**2 - count]] = False
    return mask.view(side, side)


def bayer(side: int) -> Tensor:
    """The threshold matrix of ordered dithering, of the next power of two: its n smallest entries are evenly spread."""
    order = torch.zeros(1, 1, dtype=torch.long)
    while len(order) < side:
        order = torch.cat([torch.cat([4 * order, 4 * order + 2], 1), torch.cat([4 * order + 3, 4 * order + 1], 1)])
    return order


PATTERNS: dict[str, Callable[[int, int, torch.Generator], Tensor]] = {
    "random": random_mask,
    "block": block_mask,
    "grid": grid_mask,
}


def masks(side: int, config: Masks, draws: Sequence[torch.Generator]) -> Tensor:
    """A mask for each generator: (N, side, side)."""
    count = hidden_cells(side, config.ratio)
    return torch.stack([PATTERNS[config.pattern](side, count, draw) for draw in draws])


def masks_of(ids: Sequence[str], side: int, config: Masks, seed: int) -> Tensor:
    """The masks of these images, independent of the batch and the method: (N, side, side)."""
    return masks(side, config, [generator(seed, "mask", config.pattern, config.ratio, side, id) for id in ids])


def in_pixels(hidden: Tensor, cell: int) -> Tensor:
    """(N, side, side) -> (N, 1, H, W)."""
    return hidden.repeat_interleave(cell, 1).repeat_interleave(cell, 2)[:, None]
