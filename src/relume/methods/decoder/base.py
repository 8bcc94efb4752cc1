"""What all decoders share. A decoder maps features, tap -> (N, C, h, h) or (N, D), taps in the order of `shapes`, to images (N,
3, size, size) in [0, 1]; it is built from the features' shapes alone."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

Shapes = Mapping[str, tuple[int, ...]]  # tap -> (C, h, h) or (D,)
Layer = Callable[[int, int, int], Sequence[nn.Module]]  # channels in, channels out, stride
Moments = Mapping[str, tuple[Tensor, Tensor]]  # tap -> mean and deviation of each channel, (C,) each


class Decoder(nn.Module):
    """`forward` takes the features of a batch by tap."""


@runtime_checkable
class Normalising(Protocol):
    """A decoder that normalises its features, by moments that it is told before it is trained. Others take them as they are."""

    def set_moments(self, moments: Moments) -> None: ...


@runtime_checkable
class Fitted(Protocol):
    """A decoder with a part that is solved for, not learned, from features and their images."""

    def fit(self, batches: Iterable[tuple[Mapping[str, Tensor], Tensor]]) -> None: ...


def doublings(side: int, size: int, most: int) -> int:
    """How many times a map is doubled to come as near to the picture's size as possible, as a ratio."""
    return max(0, min(most, round(math.log2(size / side))))


def upward(channels: int, widths: Sequence[int], times: int, layer: Layer) -> nn.Module:
    """A layer per width. The last `times` of them double the map; those before, which it does not need, have stride 1."""
    ins, strides = [channels, *widths[:-1]], [1] * (len(widths) - times) + [2] * times
    return nn.Sequential(*(part for i, o, stride in zip(ins, widths, strides, strict=True) for part in layer(i, o, stride)))


def centre(x: Tensor, side: int) -> Tensor:
    """(N, C, h, h) without its margin, down to a side."""
    margin = max(0, x.shape[-1] - side) // 2
    return x[..., margin : x.shape[-2] - margin, margin : x.shape[-1] - margin]
