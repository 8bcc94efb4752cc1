"""A trained landscape as it is used: frozen, for the generator that it was trained with."""

from dataclasses import dataclass
from pathlib import Path

import torch

from relume.core.config import build
from relume.core.errors import UserError
from relume.methods.gan.trained import TrainedGan
from relume.methods.landscape.config import LandscapeArchitecture, LandscapeConfig
from relume.methods.landscape.model import Landscape
from relume.methods.landscape.train import fingerprint
from relume.training.models import load_model


@dataclass(frozen=True, kw_only=True)
class TrainedLandscape:
    name: str
    config: LandscapeConfig
    module: Landscape


def read_landscape(folder: Path, trained: TrainedGan, device: torch.device) -> TrainedLandscape:
    """`models/landscape/<name>/`, ready for descents, with the generator that it was trained with."""
    module, card = load_model(
        folder,
        device,
        kind="landscape",
        architecture=LandscapeArchitecture,
        build=lambda architecture, card: Landscape(torch.zeros(card["latent"]), 1.0, architecture),
    )
    if card["generator"] != fingerprint(trained.generator):
        raise UserError(f"{folder} belongs to another generator than {trained.name}: train it again, or name its own")
    config = build(LandscapeConfig, card["config"], f"{folder}/model.json")
    return TrainedLandscape(name=card["name"], config=config, module=module)
