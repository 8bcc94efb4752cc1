"""A trained surrogate as it is used: frozen, with the features that it wants and what it predicts."""

from dataclasses import dataclass
from pathlib import Path

import torch

from relume.core.config import build as configured
from relume.core.config import config
from relume.core.errors import UserError
from relume.core.files import read_json
from relume.methods.surrogate.config import SurrogateArchitecture
from relume.methods.surrogate.model import SurrogateMap
from relume.training.models import CARD, read_model


@config
class DescribedSurrogate:
    """What using a surrogate needs of the configuration that it was trained with."""

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
    if read_json(folder / CARD).get("kind") != "surrogate":
        raise UserError(f"{folder} holds no surrogate: one that the stage train_surrogate has written is wanted")
    tensors, card = read_model(folder)
    about = card["config"]
    architecture = configured(DescribedSurrogate, {"architecture": about["architecture"]}, f"{folder}/{CARD}").architecture
    shapes = {tap: tuple(card["shapes"][tap]) for tap in about["taps"]}  # in the config's order: JSON sorts its keys
    module = SurrogateMap(shapes, card["shape"], architecture)
    module.load_state_dict(tensors)
    module.requires_grad_(False)
    return TrainedSurrogate(
        name=card["name"],
        network=about["network"],
        taps=tuple(about["taps"]),
        target=about["target"]["network"],
        tap=about["target"]["tap"],
        size=card["size"],
        module=module.eval().to(device),
    )
