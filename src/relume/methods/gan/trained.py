"""A trained generator."""

from pathlib import Path

import torch

from relume.methods.gan import model as gans
from relume.methods.gan.config import GeneratorArchitecture
from relume.methods.gan.generator import Generator
from relume.training.models import TrainedModel, load_model


class TrainedGan(TrainedModel[Generator]):
    @property
    def generator(self) -> Generator:
        return self.module


def read_gan(folder: Path, device: torch.device) -> TrainedGan:
    return load_model(
        TrainedGan, folder, device, "gan", GeneratorArchitecture, lambda own, card: gans.generator(own, card["size"])
    )
