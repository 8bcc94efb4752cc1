"""What all decoders are, and what the published ones share.

A decoder goes from features to the picture that had them. It is built from the features' shapes alone. Features are a map
tap -> (N, C, h, h) or (N, D), taps in the order of `shapes`; pictures are (N, 3, size, size) in [0, 1].
"""

import math
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

Shapes = Mapping[str, tuple[int, ...]]  # tap -> (C, h, h) or (D,)
Moments = Mapping[str, tuple[Tensor, Tensor]]  # tap -> mean and deviation of each channel, (C,) each


class Decoder(nn.Module):
    """`forward` takes the features of a batch by tap."""

    normalises = False  # its features, by the moments that `set_moments` gives it

    def set_moments(self, moments: Moments) -> None:
        raise NotImplementedError(f"{type(self).__name__} takes features as they are")


def doublings(side: int, size: int, most: int) -> int:
    """How many times a map is doubled to come as near to the picture's size as possible, as a ratio."""
    return max(0, min(most, round(math.log2(size / side))))


def upward(channels: int, widths: Sequence[int], times: int, layer: Callable[[int, int, int], Sequence[nn.Module]]) -> nn.Module:
    """The last `times` of the layers of these widths, each of stride 2; where there is nothing to double, the last at stride 1.

    `layer(in, out, stride)`.
    """
    outs = widths[len(widths) - max(times, 1) :]
    ins = [channels, *outs[:-1]]
    return nn.Sequential(*(part for i, o in zip(ins, outs, strict=True) for part in layer(i, o, 2 if times else 1)))
