"""Reads files of the first StyleGAN in two PyTorch formats, without running code of the file. Scales of equalised training are
multiplied into the weights; a 3x3 upsampling kernel becomes the 4x4 kernel of a transposed convolution."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.core.errors import UserError
from relume.methods.gan.config import StyleGan1
from relume.methods.gan.generator import doubled_sides
from relume.networks.convert import InvalidWeights, tensors_of, unusable

AVERAGE = "g_running"  # key of the averaged weights in a checkpoint

Tensors = dict[str, Tensor]


class Found:
    """The tensors of a file. Raises UserError for missing tensors, wrong shapes and remaining tensors."""

    def __init__(self, path: Path, tensors: Tensors) -> None:
        self.path, self.left = path, dict(tensors)

    def take(self, name: str, *shape: int | None) -> Tensor:
        """The tensor as float32; None in `shape` is any length."""
        if name not in self.left:
            raise UserError(f"{self.path}: {name} is missing")
        value = self.left.pop(name)
        if fault := unusable(value):
            raise UserError(f"{self.path}: {name} {fault}")
        value = value.float()
        if value.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, value.shape, strict=True)):
            expected = ", ".join("any" if length is None else str(length) for length in shape)
            raise UserError(f"{self.path}: {name} has shape {tuple(value.shape)}, expected ({expected})")
        return value

    def numbers(self, pattern: str) -> list[int]:
        """The number in the group of `pattern`, for all names that match it."""
        return [int(found[1]) for name in self.left if (found := re.match(pattern, name))]

    def drop(self, pattern: str, of: Callable[[int], bool]) -> None:
        """Drops the tensors whose names match `pattern` if `of` is true for the number in its group."""
        self.left = {
            name: value for name, value in self.left.items() if not ((found := re.match(pattern, name)) and of(int(found[1])))
        }

    def end(self) -> None:
        if names := sorted(self.left):
            raise UserError(f"{self.path}: {len(names)} unknown tensors: {', '.join(names[:3])}")


def load(path: Path) -> Tensors:
    """A state dict, or the averaged weights of a checkpoint. Never runs code of the file."""
    try:
        return tensors_of(path, (AVERAGE,))
    except InvalidWeights as fault:
        raise UserError(f"{path}: {fault}") from None


GAIN = math.sqrt(2)  # of layers before a ReLU
SLOWER = 0.01  # in `Blocks`: factor of the learning rate for z -> w
FUSED = 128  # in `Blocks`: the first side of upsampling by transposed convolutions
BLUR = (0.25, 0.5, 0.25)

Layer = tuple[Tensor, Tensor]  # weight, bias


def chained(depth: int, layer: Callable[[int, int | None], Layer]) -> list[Layer]:
    """Layers whose inputs are the outputs of the layer before."""
    layers: list[Layer] = []
    for number in range(depth):
        layers.append(layer(number, len(layers[-1][1]) if layers else None))
    return layers


class Steps:
    """Checkpoints of style-based-gan-pytorch, with steps up to 1024 px. The two layers of a step share a noise map there."""

    bias_last = False

    def __init__(self, found: Found, sides: list[int]) -> None:
        self.found, self.sides = found, sides
        last = len(sides) - 1
        found.drop(r"generator\.progression\.(\d+)\.", lambda step: step > last)
        found.drop(r"generator\.to_rgb\.(\d+)\.", lambda step: step != last)
        fused = found.numbers(r"generator\.progression\.([1-9])\.conv1\.0\.weight$")
        self.fused = 4 * 2 ** min(fused, default=len(sides))

    def dense(self) -> list[Layer]:
        depth = (max(self.found.numbers(r"style\.(\d+)\."), default=1) + 1) // 2
        return chained(depth, lambda number, inputs: self._layer(f"style.{2 * number + 1}.linear", None, inputs))

    def start(self) -> Tensor:
        return self.found.take("generator.progression.0.conv1.input", 1, None, 4, 4)

    def doubling(self, step: int, inputs: int) -> Layer:
        at = f"generator.progression.{step}.conv1"
        if self.sides[step] < self.fused:
            weight, bias = self._layer(f"{at}.1.conv", None, inputs, 3, 3)
            self._blur(f"{at}.2", len(bias))
        else:
            stored = self.found.take(f"{at}.0.weight", inputs, None, 3, 3).transpose(0, 1)
            weight, bias = doubling_kernel(scaled(stored)) / 4, self.found.take(f"{at}.0.bias", len(stored))
            self._blur(f"{at}.1", len(bias))
        return weight, bias

    def plain(self, step: int, channels: int) -> Layer:
        return self._layer(f"generator.progression.{step}.conv2.conv", channels, channels, 3, 3)

    def strength(self, step: int, which: int, channels: int) -> Tensor:
        """Of the noise after the first (0) or the second layer: (1, C, 1, 1)."""
        return scaled(self.found.take(f"generator.progression.{step}.noise{which + 1}.weight_orig", 1, channels, 1, 1))

    def style(self, step: int, which: int, shape: tuple[int, int]) -> Layer:
        return self._layer(f"generator.progression.{step}.adain{which + 1}.style.linear", *shape)

    def colours(self, channels: int) -> Layer:
        return self._layer(f"generator.to_rgb.{len(self.sides) - 1}.conv", 3, channels, 1, 1)

    def _layer(self, name: str, *shape: int | None) -> Layer:
        weight = scaled(self.found.take(f"{name}.weight_orig", *shape))
        return weight, self.found.take(f"{name}.bias", len(weight))

    def _blur(self, name: str, channels: int) -> None:
        for each in ("weight", "weight_flip"):
            check_blur(self.found, f"{name}.{each}", channels)


class Blocks:
    """The published weights, converted from TensorFlow: `karras2019stylegan-ffhq-1024x1024.for_g_all.pt` and others like it.
    Upsampling sums, with its bias after the blur. A style scales by 1 + its value."""

    bias_last = True
    fused = FUSED

    def __init__(self, found: Found, sides: list[int]) -> None:
        self.found, self.sides = found, sides
        found.left.pop("truncation.avg_latent", None)

    def dense(self) -> list[Layer]:
        depth = max(self.found.numbers(r"g_mapping\.dense(\d+)\."), default=0) + 1
        layers = chained(depth, lambda number, inputs: self._layer(f"g_mapping.dense{number}", None, inputs))
        return [(SLOWER * weight, SLOWER * bias) for weight, bias in layers]

    def start(self) -> Tensor:
        constant = self.found.take(f"{self._at(0)}const", 1, None, 4, 4)
        return constant + self.found.take(f"{self._at(0)}bias", constant.shape[1])[:, None, None]

    def doubling(self, step: int, inputs: int) -> Layer:
        weight, bias = self._layer(f"{self._at(step)}conv0_up", None, inputs, 3, 3)
        check_blur(self.found, f"{self._at(step)}conv0_up.intermediate.kernel", 1)
        return doubling_kernel(weight) if self.sides[step] >= FUSED else weight, bias

    def plain(self, step: int, channels: int) -> Layer:
        return self._layer(f"{self._at(step)}conv{1 if step else ''}", channels, channels, 3, 3)

    def strength(self, step: int, which: int, channels: int) -> Tensor:
        return self.found.take(f"{self._at(step)}epi{which + 1}.top_epi.noise.weight", channels).view(1, -1, 1, 1)

    def style(self, step: int, which: int, shape: tuple[int, int]) -> Layer:
        weight, bias = self._layer(f"{self._at(step)}epi{which + 1}.style_mod.lin", *shape, gain=1.0)
        return weight, torch.cat([bias[: shape[0] // 2] + 1, bias[shape[0] // 2 :]])

    def colours(self, channels: int) -> Layer:
        return self._layer("g_synthesis.torgb", 3, channels, 1, 1, gain=1.0)

    def _at(self, step: int) -> str:
        return f"g_synthesis.blocks.{self.sides[step]}x{self.sides[step]}."

    def _layer(self, name: str, *shape: int | None, gain: float = GAIN) -> Layer:
        weight = scaled(self.found.take(f"{name}.weight", *shape), gain)
        return weight, self.found.take(f"{name}.bias", len(weight))


def assembled(form: "Steps | Blocks") -> tuple[StyleGan1, Tensors]:
    """The architecture and the tensors by the names of `style_gan1`. Step n has maps of side 4 * 2^n."""
    dense, start = form.dense(), form.start()
    tensors, widths, style = {"start": start}, [start.shape[1]], len(dense[-1][1])
    layers = {f"mapping.{number}": layer for number, layer in enumerate(dense)}
    for step in range(len(form.sides)):
        if step:
            layers[f"styled.{2 * step}.body"] = doubling = form.doubling(step, widths[-1])
            widths.append(len(doubling[1]))
        layers[f"styled.{2 * step + 1}.body"] = form.plain(step, widths[-1])
        for which in (0, 1):
            name = f"styled.{2 * step + which}"
            tensors[f"{name}.strength"] = form.strength(step, which, widths[-1])
            layers[f"{name}.style"] = form.style(step, which, (2 * widths[-1], style))
    layers["colours"] = form.colours(widths[-1])
    for name, (weight, bias) in layers.items():
        tensors |= {f"{name}.weight": weight.contiguous(), f"{name}.bias": bias}
    numbers: dict[str, Any] = {"latent": dense[0][0].shape[1], "style": style, "mapping": len(dense), "widths": tuple(widths)}
    return StyleGan1(kind="stylegan", **numbers, fused=form.fused, bias_last=form.bias_last), tensors


FORMS: dict[str, type[Steps | Blocks]] = {"generator.": Steps, "g_synthesis.": Blocks}


def read_style_gan1(path: Path, size: int) -> tuple[StyleGan1, Tensors]:
    """The architecture of the file's generator of `size` px, and its tensors by our names, without noise and mean w."""
    found, sides = Found(path, load(path)), doubled_sides(size)
    for prefix, form in FORMS.items():
        if any(name.startswith(prefix) for name in found.left):
            read = assembled(form(found, sides))
            found.end()
            return read
    expected, got = " or ".join(f"{prefix}…" for prefix in FORMS), ", ".join(sorted(found.left)[:3])
    raise UserError(f"{path} is not a StyleGAN generator: needs tensors {expected}, got {got}")


def scaled(weight: Tensor, gain: float = GAIN) -> Tensor:
    """Times gain / sqrt(fan-in)."""
    return weight * (gain / math.sqrt(weight[0].numel()))


def doubling_kernel(weight: Tensor) -> Tensor:
    """(O, I, 3, 3) -> (I, O, 4, 4): the sum of the kernel at its four offsets."""
    return 4 * F.avg_pool2d(weight.transpose(0, 1), 2, stride=1, padding=1)


def check_blur(found: Found, name: str, channels: int) -> None:
    """Raises UserError unless the stored blur is BLUR."""
    line = torch.tensor(BLUR)
    if not torch.allclose(found.take(name, channels, 1, 3, 3), line[:, None] * line, atol=1e-6):
        raise UserError(f"{found.path}: {name}: needs the blur (1, 2, 1) / 4 in both directions")
