"""Toy generators for tests."""

from typing import Any

import torch
from torch import nn

from relume.core.config import build
from relume.models import gans
from relume.models.gan_config import GanArchitecture
from relume.models.generator import Generator

SIZE = 16
KINDS: dict[str, dict[str, Any]] = {
    "dcgan": {"kind": "dcgan", "latent": 6, "width": 8},
    "style": {"kind": "style", "latent": 6, "style": 5, "mapping": 2, "width": 4, "widest": 8},
}


def architecture(name: str, **differences: Any) -> Any:
    return build(GanArchitecture, KINDS[name] | differences, "architecture")


def generator(kind: str, size: int = SIZE, **differences: Any) -> Generator:
    """With random weights, ready to be looked at; its noise counts."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = gans.generator(architecture(kind, **differences), size)
    for name, weights in made.named_parameters():
        if name.endswith("strength"):
            nn.init.constant_(weights, 0.1)
    return made.eval()


def discriminator(kind: str, size: int = SIZE, **differences: Any) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return gans.discriminator(architecture(kind, **differences), size).eval()


def dice(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]
