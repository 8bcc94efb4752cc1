"""A trained landscape as it is used: frozen, for the generator that it was trained with."""

from dataclasses import dataclass
from pathlib import Path

import torch

from relume.core.config import build as configured
from relume.core.errors import UserError
from relume.methods.gan.trained import TrainedGan
from relume.methods.landscape.config import LandscapeConfig
from relume.methods.landscape.model import Landscape
from relume.methods.landscape.train import fingerprint
from relume.training.models import read_model


@dataclass(frozen=True, kw_only=True)
class TrainedLandscape:
    name: str
    config: LandscapeConfig
    module: Landscape


def read_landscape(folder: Path, trained: TrainedGan, device: torch.device) -> TrainedLandscape:
    """`models/landscape/<name>/`, ready to be descended in, with this very generator."""
    tensors, card = read_model(folder)
    config = configured(LandscapeConfig, card["config"], f"{folder}/model.json")
    if card["generator"] != fingerprint(trained.generator):
        raise UserError(f"{folder} belongs to another generator than {trained.name}: train it again, or name its own")
    module = Landscape(torch.zeros(card["latent"]), 1.0, config.architecture)
    module.load_state_dict(tensors)
    module.requires_grad_(False)
    return TrainedLandscape(name=card["name"], config=config, module=module.eval().to(device))
