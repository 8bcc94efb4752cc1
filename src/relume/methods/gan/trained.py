"""A trained generator as it is used: frozen."""

from dataclasses import dataclass
from pathlib import Path

import torch

from relume.core.config import build as configured
from relume.core.config import config
from relume.methods.gan import model as gans
from relume.methods.gan.config import GeneratorArchitecture
from relume.methods.gan.generator import Generator
from relume.training.models import read_model


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
    """`models/gan/<name>/`, ready to make pictures."""
    tensors, card = read_model(folder)
    stated = {"architecture": card["config"]["architecture"]}
    made = gans.generator(configured(DescribedGan, stated, f"{folder}/model.json").architecture, card["size"])
    made.load_state_dict(tensors)
    made.requires_grad_(False)
    return TrainedGan(name=card["name"], dataset=card["data"]["dataset"], generator=made.eval().to(device))
