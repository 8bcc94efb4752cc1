"""Our decoder: the image grows by interpolation and convolutions, and each tap joins at its own resolution. The image is the sum
of what each resolution paints (as in StyleGAN2). `finest` ends the growth early, which saves most time."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.core.errors import UserError
from relume.core.images import resize
from relume.methods.decoder.base import Normalising, Shapes, key_of
from relume.methods.decoder.config import MultiScale

POOLED = 4  # side of the map that a vector is unfolded into
NEAR = 1.5  # sides whose ratio is below this are one rung of the ladder
WIDEST = 4  # times the width at full size


def ladder(sides: Iterable[int], size: int) -> list[int]:
    """The sides that the picture grows through: the taps' own, doublings between those, at last `size`."""
    rungs: list[int] = []
    for side in [*sorted(side for side in sides if side * NEAR <= size), size]:
        while rungs and side / rungs[-1] >= 2 * NEAR:
            rungs.append(2 * rungs[-1])
        if not rungs or side == size or side / rungs[-1] >= NEAR:
            rungs.append(side)
    return rungs


class MultiScaleDecoder(Normalising):
    """Features in units of their channels' deviations, residual blocks with GroupNorm and SiLU, a sigmoid at the end."""

    def __init__(self, shapes: Shapes, size: int, config: MultiScale) -> None:
        super().__init__(shapes)
        sides = {tap: shape[1] if len(shape) == 3 else POOLED for tap, shape in shapes.items()}
        if config.finest is not None:
            _check_finest(config.finest, sides, size)
        self.size = size
        self.sides = ladder(sides.values(), min(size, config.finest or size))
        last = len(self.sides) - 1
        near = self.sides
        rung = {tap: min(range(last + 1), key=lambda i: max(near[i] / side, side / near[i])) for tap, side in sides.items()}
        widths = [config.width // 2 * min(WIDEST, 2 ** (last - i)) for i in range(last + 1)]
        self.joins = [tuple(tap for tap in shapes if rung[tap] == i) for i in range(last + 1)]
        self.entry = nn.ModuleDict({key_of(tap): _entry(shape, widths[rung[tap]]) for tap, shape in shapes.items()})
        self.rise = nn.ModuleList(Rise(widths[i], widths[i + 1]) for i in range(last))
        # at full size a block costs as much as all the others, so it stands there only for a tap that joins there
        self.refine = nn.ModuleList(
            Residual(width) if i < last or self.joins[i] else nn.Identity() for i, width in enumerate(widths)
        )
        self.paint = nn.ModuleList(nn.Conv2d(width, 3, 3, padding=1) for width in widths)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        x: Tensor | None = None
        picture: Tensor | None = None
        for i, side in enumerate(self.sides):
            parts = [] if x is None else [self.rise[i - 1](x, side)]
            parts += [resize(self.entry[key_of(tap)](self.normalised(features, tap)), side) for tap in self.joins[i]]
            x = self.refine[i](torch.stack(parts).sum(0) if len(parts) > 1 else parts[0])
            painted: Tensor = self.paint[i](x)
            picture = painted if picture is None else resize(picture, side) + painted
        assert picture is not None  # a ladder has a rung
        return resize(picture, self.size).sigmoid()


def _check_finest(finest: int, sides: Mapping[str, int], size: int) -> None:
    """The ladder's end may save time, but not shrink what a tap has to say."""
    for tap, side in sides.items():
        if min(side, size) > NEAR * finest:
            least = math.ceil(min(side, size) / NEAR)
            raise UserError(
                f"architecture.finest: {finest} would shrink tap {tap}, of side {side}: take {least} at least, or null"
            )


class Rise(nn.Module):
    """Fewer channels, then a larger map: (N, I, h, h) -> (N, O, side, side)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(inputs, outputs, 1)
        self.smooth = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.norm = norm(outputs)

    def forward(self, x: Tensor, side: int) -> Tensor:
        return F.silu(self.norm(self.smooth(resize(self.narrow(x), side))))


class Residual(nn.Module):
    """x + two convolutions, each behind GroupNorm and SiLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(norm(channels) for _ in range(2))
        self.layers = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for norm, layer in zip(self.norms, self.layers, strict=True):
            y = layer(F.silu(norm(y)))
        return x + y


def norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(4, channels)


def _entry(shape: tuple[int, ...], width: int) -> nn.Module:
    """A map by a convolution, a vector by a linear layer onto a small map. That layer starts at 0, so directions that training
    never shows have no effect, and takes vectors of length 1, because Adam moves all its weights alike and their number would
    multiply the learning rate."""
    if len(shape) == 3:
        return nn.Conv2d(shape[0], width, 3, padding=1)
    linear = nn.Linear(shape[0], width * POOLED**2)
    nn.init.zeros_(linear.weight)
    return nn.Sequential(Shorten(shape[0]), linear, nn.Unflatten(1, (width, POOLED, POOLED)))


class Shorten(nn.Module):
    """Vectors of D normalised coordinates, divided by the root of D."""

    def __init__(self, coordinates: int) -> None:
        super().__init__()
        self.length = coordinates**0.5

    def forward(self, x: Tensor) -> Tensor:
        return x / self.length
