"""The generator of the first StyleGAN (Karras et al., arXiv 1812.04948), for imported weights, stored without the scales of
equalised training. Its images are clamped to [0, 1]."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.methods.gan.config import StyleGan1
from relume.methods.gan.generator import Generator, Noise, doubled_sides

SLOPE = 0.2  # of the leaky ReLU


class StyleGan1Generator(Generator):
    """Two layers of w and two noise maps per side."""

    def __init__(self, config: StyleGan1, size: int) -> None:
        sides = doubled_sides(size)
        if len(sides) != len(config.widths):
            raise ValueError(f"widths: needs {len(sides)} numbers, for {sides} px; got {list(config.widths)}")
        of_layers = [side for side in sides for _ in range(2)]
        super().__init__(latent=config.latent, width=config.style, layers=len(of_layers), size=size, sides=of_layers)
        ins = [config.latent, *[config.style] * (config.mapping - 1)]
        self.mapping = nn.ModuleList(nn.Linear(inputs, config.style) for inputs in ins)
        self.start = nn.Parameter(torch.randn(1, config.widths[0], sides[0], sides[0]))
        bodies: list[tuple[nn.Module, int]] = [(nn.Identity(), config.widths[0])]
        for inputs, outputs, side in zip(config.widths, config.widths[1:], sides[1:], strict=False):
            doubling = Doubling(inputs, outputs, fused=side >= config.fused, bias_last=config.bias_last)
            bodies += [(_plain(inputs), inputs), (doubling, outputs)]
        bodies.append((_plain(config.widths[-1]), config.widths[-1]))
        self.styled = nn.ModuleList(
            Styled(body, width, config.style, side) for (body, width), side in zip(bodies, of_layers, strict=True)
        )
        self.colours = nn.Conv2d(config.widths[-1], 3, 1)

    def map(self, z: Tensor) -> Tensor:
        w = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.mapping:
            w = F.leaky_relu(layer(w), SLOPE)
        return w.float()

    def paint(self, w: Tensor, noise: Noise | None) -> Tensor:
        x = self.start.expand(len(w), -1, -1, -1)
        for number, layer in enumerate(self.styled):
            x = layer(x, w[:, number], None if noise is None else noise[number])
        return ((self.colours(x) + 1) / 2).clamp(0, 1)


class Styled(nn.Module):
    """A convolution, noise, activation, and adaptive instance normalisation by w (AdaIN)."""

    noise: Tensor

    def __init__(self, body: nn.Module, channels: int, style: int, side: int) -> None:
        super().__init__()
        self.body = body
        self.strength = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.style = nn.Linear(style, 2 * channels)
        self.register_buffer("noise", torch.randn(1, 1, side, side))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        x = self.body(x) + self.strength * (self.noise if noise is None else noise)
        scale, shift = self.style(w)[:, :, None, None].chunk(2, dim=1)
        return scale * F.instance_norm(F.leaky_relu(x, SLOPE)) + shift


class Doubling(nn.Module):
    """(N, I, h, h) -> (N, O, 2h, 2h), blurred."""

    def __init__(self, inputs: int, outputs: int, *, fused: bool, bias_last: bool) -> None:
        super().__init__()
        shape = (inputs, outputs, 4, 4) if fused else (outputs, inputs, 3, 3)
        self.weight = nn.Parameter(torch.randn(shape) / (3 * inputs**0.5))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.fused, self.bias_last = fused, bias_last

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias_last else self.bias
        if self.fused:
            x = F.conv_transpose2d(x, self.weight, bias, stride=2, padding=1)
        else:
            x = F.conv2d(F.interpolate(x, scale_factor=2), self.weight, bias, padding=1)
        return smooth(x) + self.bias[:, None, None] if self.bias_last else smooth(x)


def smooth(x: Tensor) -> Tensor:
    """(1, 2, 1) / 4 in both directions, zero-padded."""
    for dim in (2, 3):
        line = x.new_tensor([0.25, 0.5, 0.25]).view(1, 1, *((3, 1) if dim == 2 else (1, 3)))
        x = F.conv2d(x.flatten(0, 1)[:, None], line, padding=(1, 0) if dim == 2 else (0, 1)).view_as(x)
    return x


def _plain(channels: int) -> nn.Module:
    return nn.Conv2d(channels, channels, 3, padding=1)
