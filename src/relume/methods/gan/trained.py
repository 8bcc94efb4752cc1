"""A trained generator as it is used: frozen."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from relume.core.config import config
from relume.methods.gan import model as gans
from relume.methods.gan.config import GeneratorArchitecture
from relume.methods.gan.generator import Generator
from relume.training.models import load_model


@config
class DescribedGan:
    """What using a generator needs of the configuration that it was made with."""

    architecture: GeneratorArchitecture


@dataclass(frozen=True, kw_only=True)
class TrainedGan:
    name: str
    dataset: str
    generator: Generator


def read_gan(folder: Path, device: torch.device) -> TrainedGan:
    """`models/gan/<name>/`, ready to generate images."""

    def make(about: DescribedGan, card: dict[str, Any]) -> Generator:
        return gans.generator(about.architecture, card["size"])

    found = load_model(folder, device, kind="gan", config=DescribedGan, build=make)
    return TrainedGan(name=found.card["name"], dataset=found.card["data"]["dataset"], generator=found.module)
