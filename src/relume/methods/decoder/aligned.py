"""A decoder of deep maps that keeps each cell aligned with its pixels. A ridge regression comes first; residual blocks,
some with attention over all cells, add what it misses; PixelShuffle turns the channels of a cell into its pixels. Without blocks
the regression stands alone: a linear baseline."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.core.errors import UserError
from relume.core.images import resize
from relume.methods.decoder.base import Normalising, Shapes
from relume.methods.decoder.config import Aligned
from relume.methods.decoder.multi_scale import Residual, norm
from relume.methods.optimise.guide import Normal

SOLVED = 4  # the regression predicts at most so many pixels per side of a cell
REACH = 3  # cells per side that the regression and the first convolution read
HEADS = 4


class AlignedDecoder(Normalising):
    """The grid has a cell more on each side than the taps, and is cut at the picture's border; clamped unless it is training."""

    def __init__(self, shapes: Shapes, size: int, config: Aligned) -> None:
        super().__init__(shapes)
        self.taps, self.size, self.ridge = tuple(shapes), size, config.ridge
        side = _side(shapes)
        self.stride = 2 ** round(math.log2(size / side))
        fine = min(config.fine, self.stride)
        self.solved = min(fine, SOLVED)
        self.margin = ((side + 2) * self.stride - size) // 2
        if self.margin < 0:
            stride = self.stride
            raise UserError(f"architecture aligned: {side} cells of {stride} px do not cover {size} px: take multi_scale")
        channels, width = sum(shape[0] for shape in shapes.values()), config.width
        self.linear = nn.Conv2d(channels, 3 * self.solved**2, REACH)
        nn.init.zeros_(self.linear.weight)
        nn.init.constant_(_bias(self.linear), 0.5)
        self.linear.requires_grad_(not config.blocks)  # Adam's first steps would undo the solution
        self.paint: nn.Module | None = None
        if not config.blocks:
            return
        self.entry = nn.Conv2d(channels, width, REACH)
        self.place = nn.Parameter(torch.zeros(width, side + 2, side + 2))
        blocks = [(Residual(width), *((Attention(width),) if i < config.attention else ())) for i in range(config.blocks)]
        self.body = nn.Sequential(*(part for block in blocks for part in block))
        self.paint = _paint(width, fine)

    @torch.no_grad()
    def fit(self, batches: Iterable[tuple[Mapping[str, Tensor], Tensor]]) -> None:
        """Solves the regression on features and images. The residual starts near zero."""
        total = Normal()
        for features, images in batches:
            rows = F.unfold(self._maps(features), REACH)
            outside = F.pad(images, 4 * (self.margin,), mode="replicate")
            cells = F.pixel_unshuffle(F.avg_pool2d(outside, self.stride // self.solved), self.solved)
            total.add(rows.transpose(1, 2).flatten(0, 1), cells.flatten(2).transpose(1, 2).flatten(0, 1))
        mean, centre, slope = total.solve(self.ridge)
        self.linear.weight.copy_(slope.T.reshape_as(self.linear.weight))
        _bias(self.linear).copy_(centre - mean.to(slope) @ slope)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        maps = self._maps(features)
        pictures = F.pixel_shuffle(self.linear(maps).float(), self.solved)
        if self.paint is not None:
            added = self.paint(self.body(self.entry(maps) + self.place)).float()
            pictures = resize(pictures, added.shape[-1]) + added
        inside = slice(self.margin, self.margin + self.size)
        pictures = resize(pictures.contiguous(), self.size + 2 * self.margin)[:, :, inside, inside]
        return pictures if self.training else pictures.clamp(0, 1)

    def _maps(self, features: Mapping[str, Tensor]) -> Tensor:
        """Concatenates the taps. Border cells are replicated, because the regression treats all cells alike."""
        maps = torch.cat([self.normalised(features, tap) for tap in self.taps], 1)
        return F.pad(maps, 4 * (REACH // 2 + 1,), mode="replicate")


class Attention(nn.Module):
    """Residual self-attention over all cells."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = norm(channels)
        self.read = nn.Conv2d(channels, 3 * channels, 1)
        self.write = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        q, k, v = self.read(self.norm(x)).view(n, 3, HEADS, c // HEADS, h * w).transpose(-1, -2).unbind(1)
        found = (q @ k.transpose(-1, -2) / (c // HEADS) ** 0.5).softmax(-1) @ v  # faster on a CPU than the fused kernel
        return x + self.write(found.transpose(-1, -2).reshape(n, c, h, w))


def _paint(width: int, fine: int) -> nn.Module:
    """A doubling by PixelShuffle and a residual block, as far as there is one; the rest of the pixels by the last convolution."""
    parts: list[nn.Module] = []
    if fine > 1:
        parts += [norm(width), nn.SiLU(), nn.Conv2d(width, 2 * width, 1), nn.PixelShuffle(2), Residual(width // 2)]
        width, fine = width // 2, fine // 2
    last = nn.Conv2d(width, 3 * fine**2, 3, padding=1)
    nn.init.normal_(last.weight, std=1e-3)
    nn.init.zeros_(_bias(last))
    return nn.Sequential(*parts, norm(width), nn.SiLU(), last, nn.PixelShuffle(fine))


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias


def _side(shapes: Shapes) -> int:
    sides = {tap: shape[1] if len(shape) == 3 else 0 for tap, shape in shapes.items()}
    side, *more = set(sides.values())
    if more or not side:
        told = ", ".join(f"{tap} {one or 'none'}" for tap, one in sides.items())
        raise UserError(f"architecture aligned decodes maps of one side, got sides {told}: take multi_scale")
    return side
