"""Self-made files of the first StyleGAN, in both forms, with the names and the shapes of the real ones."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

BLUR = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16


def steps(widths: list[int], *, fused: int, latent: int = 6, depth: int = 3) -> dict[str, Tensor]:
    """The format of style-based-gan-pytorch: all steps, each with its to_rgb. `fused`: the first fused step."""
    torch.manual_seed(0)
    held: dict[str, Tensor] = {}

    def layer(name: str, *shape: int) -> None:
        held[f"{name}.weight_orig"] = torch.randn(shape)
        held[f"{name}.bias"] = torch.randn(shape[0])

    for number in range(depth):
        layer(f"style.{2 * number + 1}.linear", latent, latent)
    for step, width in enumerate(widths):
        at, before = f"generator.progression.{step}", widths[max(step - 1, 0)]
        if step == 0:
            held[f"{at}.conv1.input"] = torch.randn(1, width, 4, 4)
        elif step < fused:
            layer(f"{at}.conv1.1.conv", width, before, 3, 3)
        else:
            held[f"{at}.conv1.0.weight"] = torch.randn(before, width, 3, 3)
            held[f"{at}.conv1.0.bias"] = torch.randn(width)
        for kind in ("weight", "weight_flip") if step else ():
            held[f"{at}.conv1.{2 if step < fused else 1}.{kind}"] = BLUR.expand(width, 1, 3, 3).clone()
        layer(f"{at}.conv2.conv", width, width, 3, 3)
        for which in (1, 2):
            held[f"{at}.noise{which}.weight_orig"] = torch.randn(1, width, 1, 1)
            layer(f"{at}.adain{which}.style.linear", 2 * width, latent)
        layer(f"generator.to_rgb.{step}.conv", 3, width, 1, 1)
    return held


def blocks(widths: list[int], *, latent: int = 6, depth: int = 3) -> dict[str, Tensor]:
    """The format of the published weights, converted from TensorFlow."""
    torch.manual_seed(0)
    held: dict[str, Tensor] = {"truncation.avg_latent": torch.zeros(latent)}

    def layer(name: str, *shape: int) -> None:
        held[f"{name}.weight"], held[f"{name}.bias"] = torch.randn(shape), torch.randn(shape[0])

    for number in range(depth):
        layer(f"g_mapping.dense{number}", latent, latent)
        held[f"g_mapping.dense{number}.weight"] *= 100
    for step, width in enumerate(widths):
        side = 4 * 2**step
        at = f"g_synthesis.blocks.{side}x{side}"
        if step == 0:
            held[f"{at}.const"], held[f"{at}.bias"] = torch.randn(1, width, 4, 4), torch.randn(width)
        else:
            layer(f"{at}.conv0_up", width, widths[step - 1], 3, 3)
            held[f"{at}.conv0_up.intermediate.kernel"] = BLUR.view(1, 1, 3, 3).clone()
        layer(f"{at}.conv1" if step else f"{at}.conv", width, width, 3, 3)
        for which in (1, 2):
            held[f"{at}.epi{which}.top_epi.noise.weight"] = torch.randn(width)
            layer(f"{at}.epi{which}.style_mod.lin", 2 * width, latent)
    layer("g_synthesis.torgb", 3, widths[-1], 1, 1)
    return held


def saved(path: Path, held: Any) -> Path:
    torch.save(held, path)
    return path
