"""A trained surrogate, and as the term `surrogate` takes it, held to the recipe that names it."""

from dataclasses import dataclass
from pathlib import Path

import torch

from relume.core.errors import UserError
from relume.methods.optimise.config import InvertOptimise
from relume.methods.optimise.terms import Surrogate
from relume.methods.surrogate.config import SurrogateArchitecture
from relume.methods.surrogate.model import SurrogateMap
from relume.training.models import load_model, shapes_of


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
    module, card = load_model(
        folder,
        device,
        kind="surrogate",
        architecture=SurrogateArchitecture,
        build=lambda architecture, card: SurrogateMap(shapes_of(card), card["shape"], architecture),
    )
    config = card["config"]
    return TrainedSurrogate(
        name=card["name"],
        network=config["network"],
        taps=tuple(config["taps"]),
        target=config["target"]["network"],
        tap=config["target"]["tap"],
        size=card["size"],
        module=module,
    )


def learned(folder: Path, config: InvertOptimise, size: int, device: torch.device) -> Surrogate:
    """It predicts from no other features than those that are inverted, of pictures of `size` pixels."""
    found = read_surrogate(folder, device)
    if found.network != config.network or not set(found.taps) <= config.taps.keys():
        wanted, given = f"{config.network} {'+'.join(config.taps)}", f"{found.network} {'+'.join(found.taps)}"
        raise UserError(f"{folder} predicts from {given}, and {wanted} is inverted: name one of these features")
    if found.size != size:
        raise UserError(f"{folder} has learned with pictures of {found.size} px, these have {size}")
    return Surrogate(network=found.target, tap=found.tap, predict=found.module)
