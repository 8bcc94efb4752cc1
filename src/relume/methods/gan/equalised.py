"""Layers with an equalised learning rate (Karras et al., arXiv 1710.10196), modulated convolutions (arXiv 1912.04958), blurs."""

import math
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.2  # of the leaky ReLU


def active(x: Tensor) -> Tensor:
    """A leaky ReLU that keeps the variance."""
    return F.leaky_relu(x, SLOPE) * math.sqrt(2)


class EqualLinear(nn.Module):
    """`rate`: factor of the learning rate."""

    def __init__(self, inputs: int, outputs: int, *, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.rate, self.scale = rate, rate / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias * self.rate)


class EqualConv(nn.Module):
    """`halves`: (N, I, h, h) -> (N, O, h / 2, h / 2), after a blur."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, bias: bool = True, halves: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale, self.padding, self.halves = 1 / math.sqrt(inputs * kernel**2), kernel // 2, halves

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight * self.scale
        if self.halves:
            return F.conv2d(smoothed(x), weight, self.bias, stride=2)
        return F.conv2d(x, weight, self.bias, padding=self.padding)


class ModulatedConv(nn.Module):
    """x (N, I, h, h), w (N, D) -> (N, O, h, h), or (N, O, 2h, 2h) if `doubles`. With s = A w each row is convolved with
    W_oi s_i, over its norm if `demodulates`. Inputs and outputs are scaled instead of the weights: one plain convolution."""

    def __init__(
        self, inputs: int, outputs: int, style: int, *, kernel: int = 3, doubles: bool = False, demodulates: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.style = EqualLinear(style, inputs, bias=1.0)
        self.scale, self.doubles, self.demodulates = 1 / math.sqrt(inputs * kernel**2), doubles, demodulates

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        s, weight = self.style(w).float(), self.weight * self.scale
        y = x * s[:, :, None, None]
        if self.doubles:
            y = blur(F.conv_transpose2d(y, weight.transpose(0, 1), stride=2))
        else:
            y = F.conv2d(y, weight, padding=weight.shape[-1] // 2)
        if not self.demodulates:
            return y
        with torch.autocast(s.device.type, enabled=False):  # 1 / |W_oi s_i| over i and the kernel: (N, O)
            norms = (s.square() @ weight.square().sum((2, 3)).T + 1e-8).rsqrt()
        return y * norms[:, :, None, None]


@lru_cache(maxsize=8)
def binomial(device: torch.device) -> Tensor:
    """(1, 3, 3, 1) in both directions, with sum 4: (1, 1, 4, 4)."""
    line = torch.tensor([1.0, 3, 3, 1]) / 4
    return (line[:, None] * line).view(1, 1, 4, 4).to(device)


def _each(x: Tensor) -> Tensor:
    """The kernel for every channel, for a grouped convolution, which is faster than channels as rows."""
    return binomial(x.device).expand(x.shape[1], 1, 4, 4)


def blur(x: Tensor) -> Tensor:
    """Blurs the output of a transposed convolution of stride 2: (N, C, 2h + 1, 2h + 1) -> (N, C, 2h, 2h)."""
    return F.conv2d(x, _each(x), padding=1, groups=x.shape[1])


def doubled(x: Tensor) -> Tensor:
    """(N, C, h, h) -> (N, C, 2h, 2h), bilinear, zero-padded."""
    return F.conv_transpose2d(x, _each(x), stride=2, padding=1, groups=x.shape[1])


def halved(x: Tensor) -> Tensor:
    """(N, C, h, h) -> (N, C, h / 2, h / 2), blurred first, zero-padded."""
    return F.conv2d(x, _each(x) / 4, stride=2, padding=1, groups=x.shape[1])


def smoothed(x: Tensor) -> Tensor:
    """(N, C, h, h) -> (N, C, h + 1, h + 1), blurred for a 3x3 convolution of stride 2, zero-padded."""
    return F.conv2d(x, _each(x) / 4, padding=2, groups=x.shape[1])
