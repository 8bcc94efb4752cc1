"""A compact style-based generator and its residual discriminator, after StyleGAN2 (Karras et al., arXiv 1912.04958). Unlike
the published one, a tanh bounds the images, so that inversions stay in [0, 1]."""

import math

import torch
from torch import Tensor, nn

from relume.methods.gan.config import Style
from relume.methods.gan.equalised import EqualConv, EqualLinear, ModulatedConv, active, doubled, halved
from relume.methods.gan.generator import Generator, Noise, doubled_sides

MAPPING_RATE = 0.01  # factor of the learning rate for z -> w
NOISE_RATE = 0.1  # the same for the noise's strength: else an early generator imitates textures by noise alone
GROUP = 4  # images per group for the discriminator's std, at most


class StyleGenerator(Generator):
    """2 log2(size) - 2 layers of w, and a noise map per convolution."""

    def __init__(self, config: Style, size: int) -> None:
        sides = doubled_sides(size)
        of_layers = [sides[0], *(side for side in sides[1:] for _ in range(2))]
        super().__init__(latent=config.latent, width=config.style, layers=2 * len(sides), size=size, sides=of_layers)
        ins = [config.latent, *[config.style] * (config.mapping - 1)]
        self.mapping = nn.ModuleList(EqualLinear(i, config.style, rate=MAPPING_RATE) for i in ins)
        widths = [_width(config, size, side) for side in of_layers]
        self.start = nn.Parameter(torch.randn(1, widths[0], sides[0], sides[0]))
        self.convolutions = nn.ModuleList(
            Styled(i, o, config.style, side, doubles=number % 2 == 1)
            for number, (i, o, side) in enumerate(zip([widths[0], *widths], widths, of_layers, strict=False))
        )
        self.colours = nn.ModuleList(Coloured(_width(config, size, side), config.style) for side in sides)

    def map(self, z: Tensor) -> Tensor:
        w = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.mapping:
            w = active(layer(w))
        return w.float()

    def paint(self, w: Tensor, noise: Noise | None) -> Tensor:
        x, picture = self.start.expand(len(w), -1, -1, -1), torch.zeros((), device=w.device)
        for number, convolution in enumerate(self.convolutions):
            x = convolution(x, w[:, number], None if noise is None else noise[number])
            if number % 2 == 0:  # the last layer of its side
                before = doubled(picture) if number else picture
                picture = before + self.colours[number // 2](x, w[:, number + 1])
        return (picture.tanh() + 1) / 2


class Styled(nn.Module):
    """A modulated convolution, noise, activation."""

    noise: Tensor

    def __init__(self, inputs: int, outputs: int, style: int, side: int, *, doubles: bool) -> None:
        super().__init__()
        self.convolution = ModulatedConv(inputs, outputs, style, doubles=doubles)
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("noise", torch.randn(1, 1, side, side))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        added = NOISE_RATE * self.strength * (self.noise if noise is None else noise)
        return active(self.convolution(x, w) + added + self.bias[:, None, None])


class Coloured(nn.Module):
    """(N, C, h, h) -> (N, 3, h, h)."""

    def __init__(self, inputs: int, style: int) -> None:
        super().__init__()
        self.convolution = ModulatedConv(inputs, 3, style, kernel=1, demodulates=False)
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return self.convolution(x, w) + self.bias[:, None, None]


class StyleDiscriminator(nn.Module):
    """(N, 3, size, size) in [0, 1] -> scores (N,), high for real images. Rows depend on each other: the std within a group
    is an input, which reveals mode collapse."""

    def __init__(self, config: Style, size: int) -> None:
        super().__init__()
        sides = doubled_sides(size)[::-1]
        widths = [_width(config, size, side) for side in sides]
        self.enter = EqualConv(3, widths[0], 1)
        self.down = nn.Sequential(*(Residual(i, o) for i, o in zip(widths, widths[1:], strict=False)))
        self.last = EqualConv(widths[-1] + 1, widths[-1], 3)
        self.joined = EqualLinear(widths[-1] * sides[-1] ** 2, widths[-1])
        self.extractor = EqualLinear(widths[-1], 1)

    def forward(self, pictures: Tensor) -> Tensor:
        x = with_deviation(self.down(active(self.enter(2 * pictures - 1))))
        x = active(self.joined(active(self.last(x)).flatten(1)))
        return self.extractor(x).squeeze(1)


class Residual(nn.Module):
    """A residual block that halves the side."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = EqualConv(inputs, inputs, 3), EqualConv(inputs, outputs, 3, halves=True)
        self.skip = EqualConv(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        far = active(self.second(active(self.first(x))))
        near: Tensor = self.skip(halved(x))
        return (far + near) / math.sqrt(2)


def with_deviation(x: Tensor) -> Tensor:
    """(N, C, h, h) -> (N, C + 1, h, h): appends the mean std within groups of GROUP rows, or the next divisor of N."""
    n, _, h, w = x.shape
    size = next(size for size in range(GROUP, 0, -1) if n % size == 0)
    groups = x.float().reshape(size, n // size, -1)
    spread = (groups.var(0, correction=0) + 1e-8).sqrt().mean(1)
    return torch.cat([x, spread.repeat(size).view(n, 1, 1, 1).expand(-1, -1, h, w).to(x.dtype)], dim=1)


def _width(config: Style, size: int, side: int) -> int:
    return min(config.widest, config.width * size // side)
