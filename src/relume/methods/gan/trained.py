"""A trained generator as it is used: frozen."""

from dataclasses import dataclass
from pathlib import Path

import torch

from relume.methods.gan import model as gans
from relume.methods.gan.config import GeneratorArchitecture
from relume.methods.gan.generator import Generator
from relume.training.models import load_model


@dataclass(frozen=True, kw_only=True)
class TrainedGan:
    name: str
    dataset: str
    generator: Generator


def read_gan(folder: Path, device: torch.device) -> TrainedGan:
    """`models/gan/<name>/`, ready to generate images."""
    module, card = load_model(
        folder,
        device,
        kind="gan",
        architecture=GeneratorArchitecture,
        build=lambda architecture, card: gans.generator(architecture, card["size"]),
    )
    return TrainedGan(name=card["name"], dataset=card["data"]["dataset"], generator=module)
