"""A trained landscape as it is used: frozen, for the generator that it was trained with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from relume.core.errors import UserError
from relume.methods.gan.trained import TrainedGan
from relume.methods.landscape.config import LandscapeConfig
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

    def make(config: LandscapeConfig, card: dict[str, Any]) -> Landscape:
        return Landscape(torch.zeros(card["latent"]), 1.0, config.architecture)

    found = load_model(folder, device, kind="landscape", config=LandscapeConfig, build=make)
    if found.card["generator"] != fingerprint(trained.generator):
        raise UserError(f"{folder} belongs to another generator than {trained.name}: train it again, or name its own")
    return TrainedLandscape(name=found.card["name"], config=found.config, module=found.module)
