"""A trained landscape, with the generator that it was trained with."""

from functools import cached_property
from pathlib import Path

import torch

from relume.core.config import build
from relume.core.errors import UserError
from relume.methods.gan.model import TrainedGan
from relume.methods.landscape.config import LandscapeArchitecture, LandscapeConfig
from relume.methods.landscape.model import Landscape
from relume.methods.landscape.train import fingerprint
from relume.training.models import TrainedModel, load_model


class TrainedLandscape(TrainedModel[Landscape]):
    @cached_property
    def config(self) -> LandscapeConfig:
        return build(LandscapeConfig, self.card["config"], f"{self.name}/model.json")


def read_landscape(folder: Path, trained: TrainedGan, device: torch.device) -> TrainedLandscape:
    found = load_model(
        TrainedLandscape,
        folder,
        device,
        "landscape",
        LandscapeArchitecture,
        lambda own, card: Landscape(torch.zeros(card["latent"]), 1.0, own),
    )
    if found.card["generator"] != fingerprint(trained.generator):
        raise UserError(f"{folder} was trained with another generator than {trained.name}: train it again, or set its generator")
    return found
