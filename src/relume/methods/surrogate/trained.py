"""A trained surrogate as it is used: frozen, with the features that it wants and what it predicts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from relume.core.config import config
from relume.methods.surrogate.config import SurrogateArchitecture, Target
from relume.methods.surrogate.model import SurrogateMap
from relume.training.models import load_model, shapes_of


@config
class DescribedSurrogate:
    """What using a surrogate needs of the configuration that it was trained with."""

    network: str
    taps: tuple[str, ...]
    target: Target
    architecture: SurrogateArchitecture


@dataclass(frozen=True, kw_only=True)
class TrainedSurrogate:
    name: str
    network: str
    taps: tuple[str, ...]
    target: str  # the network whose tap is predicted
    tap: str
    size: int  # of the pictures
    module: SurrogateMap


def read_surrogate(folder: Path, device: torch.device) -> TrainedSurrogate:
    """`models/surrogate/<name>/`, ready to predict."""

    def make(about: DescribedSurrogate, card: dict[str, Any]) -> SurrogateMap:
        return SurrogateMap(shapes_of(card, about.taps), card["shape"], about.architecture)

    found = load_model(folder, device, kind="surrogate", config=DescribedSurrogate, build=make)
    return TrainedSurrogate(
        name=found.card["name"],
        network=found.config.network,
        taps=found.config.taps,
        target=found.config.target.network,
        tap=found.config.target.tap,
        size=found.card["size"],
        module=found.module,
    )
