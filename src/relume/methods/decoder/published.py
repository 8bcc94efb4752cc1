"""The per-layer AlexNet decoders (after Dosovitskiy and Brox 2016) and the multi-layer ResNet-50 decoder, as published, but both
end in a sigmoid and at the image's size. Doublings that a tap does not need have stride 1; the rest is resized at the end."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from relume.core.errors import UserError
from relume.core.images import resize
from relume.methods.decoder.base import Decoder, Shapes, centre, doublings, upward
from relume.methods.decoder.config import ConvOnly, PerLayer

SLOPE = 0.2  # of the LeakyReLU
UP = (256, 128, 64, 32, 3)  # channels of the per-layer decoder's five doublings
HIDDEN, CORNER = 4096, (256, 4, 4)  # of its fully connected decoder: 4096 values are a map
CONV_ONLY_UP = (512, 256, 128, 64, 3)  # Egharevba states five doublings from 7 to 224 px, and no widths: these are ours


class PerLayerDecoder(Decoder):
    """Per-layer AlexNet decoder: three 3x3 convolutions (a map) or linear layers (a vector), then five 5x5 ConvTranspose."""

    def __init__(self, shapes: Shapes, size: int, config: PerLayer) -> None:
        super().__init__()
        if len(shapes) != 1:
            raise UserError(f"architecture per_layer decodes one tap, got {', '.join(shapes)}")
        ((self.tap, shape),) = shapes.items()
        self.size = size
        if len(shape) == 3:
            ins = (shape[0], CORNER[0], CORNER[0])
            layers = [(nn.Conv2d(i, CORNER[0], 3, padding=1), nn.BatchNorm2d(CORNER[0]), nn.LeakyReLU(SLOPE)) for i in ins]
            self.inward = nn.Sequential(*(part for layer in layers for part in layer))
            times = doublings(shape[1], size, len(UP))
        else:
            linear = [part for i in (shape[0], HIDDEN, HIDDEN) for part in (nn.Linear(i, HIDDEN), nn.LeakyReLU(SLOPE))]
            self.inward = nn.Sequential(*linear, nn.Unflatten(1, CORNER))
            times = doublings(CORNER[1], size, len(UP))
        self.up = upward(CORNER[0], UP, times, _five)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        return resize(self.up(self.inward(features[self.tap])), self.size).sigmoid()


def _five(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    layer = nn.ConvTranspose2d(inputs, outputs, 5, stride=stride, padding=2, output_padding=stride - 1)
    return [layer] if outputs == 3 else [layer, nn.BatchNorm2d(outputs), nn.LeakyReLU(SLOPE)]


class ConvOnlyDecoder(Decoder):
    """The multi-layer ResNet-50 decoder: maps shrunk to the smallest, side by side, then ConvTranspose 4x4 and ReLU."""

    def __init__(self, shapes: Shapes, size: int, config: ConvOnly) -> None:
        super().__init__()
        vectors = [tap for tap, shape in shapes.items() if len(shape) == 1]
        if vectors:
            raise UserError(f"architecture conv_only decodes maps; {', '.join(vectors)} has no positions")
        self.taps, self.size = tuple(shapes), size
        self.side = min(shape[1] for shape in shapes.values())
        times = doublings(self.side, size, len(CONV_ONLY_UP))
        self.doubled = self.side * 2**times
        self.up = upward(sum(shape[0] for shape in shapes.values()), CONV_ONLY_UP, times, _four)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        together = torch.cat([resize(features[tap], self.side) for tap in self.taps], dim=1)
        return resize(centre(self.up(together), self.doubled), self.size).sigmoid()


def _four(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    """4x4 at stride 2 doubles; at stride 1 the map grows by half a cell on each side, which is cut off in the end."""
    layer = nn.ConvTranspose2d(inputs, outputs, 4, stride=stride, padding=1)
    return [layer] if outputs == 3 else [layer, nn.ReLU()]
