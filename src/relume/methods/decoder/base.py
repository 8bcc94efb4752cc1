"""What all decoders share. A decoder maps features, tap -> (N, C, h, h) or (N, D), taps in the order of `shapes`, to images (N,
3, size, size) in [0, 1]; it is built from the features' shapes alone."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

Shapes = Mapping[str, tuple[int, ...]]  # tap -> (C, h, h) or (D,)
Layer = Callable[[int, int, int], Sequence[nn.Module]]  # channels in, channels out, stride
Moments = Mapping[str, tuple[Tensor, Tensor]]  # tap -> mean and deviation of each channel, (C,) each


class Decoder(nn.Module):
    """`forward` takes the features of a batch by tap."""


def key_of(tap: str) -> str:
    """A module's name has no dots; those of a user's layers have."""
    return tap.replace(".", "-")


class Normalise(nn.Module):
    """(x - mean) / deviation, channel by channel; one that hardly moved is not blown up by what it does later."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))

    def set(self, mean: Tensor, deviation: Tensor) -> None:
        self.mean.copy_(mean)
        least = 0.01 * deviation.mean()
        self.deviation.copy_(deviation.clamp_min(least) if least > 0 else torch.ones_like(deviation))

    def forward(self, x: Tensor) -> Tensor:
        shape = (-1, *(1,) * (x.ndim - 2))
        return (x - self.mean.view(shape)) / self.deviation.view(shape)


class Normalising(Decoder):
    """A decoder of features in units of their channels' deviations, by moments that are set before it is trained."""

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        self.normal = nn.ModuleDict({key_of(tap): Normalise(shape[0]) for tap, shape in shapes.items()})

    def set_moments(self, moments: Moments) -> None:
        for tap, (mean, deviation) in moments.items():
            normal = self.normal[key_of(tap)]
            assert isinstance(normal, Normalise)
            normal.set(mean, deviation)

    def normalised(self, features: Mapping[str, Tensor], tap: str) -> Tensor:
        return self.normal[key_of(tap)](features[tap])


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
