"""A trained surrogate, for the term `surrogate`."""

from pathlib import Path

import torch

from relume.core.errors import UserError
from relume.methods.optimise.config import InvertOptimise
from relume.methods.optimise.terms import Surrogate
from relume.methods.surrogate.config import SurrogateArchitecture
from relume.methods.surrogate.model import SurrogateMap
from relume.training.models import TrainedModel, load_model, shapes_of


class TrainedSurrogate(TrainedModel[SurrogateMap]):
    """Its target is `card["config"]["target"]`: another network and its tap."""


def read_surrogate(folder: Path, device: torch.device) -> TrainedSurrogate:
    return load_model(
        TrainedSurrogate,
        folder,
        device,
        "surrogate",
        SurrogateArchitecture,
        lambda own, card: SurrogateMap(shapes_of(card), card["shape"], own),
    )


def learned(folder: Path, config: InvertOptimise, size: int, device: torch.device) -> Surrogate:
    """Raises UserError unless the surrogate uses the inverted taps and images of `size` px."""
    found = read_surrogate(folder, device)
    target = found.card["config"]["target"]
    if found.network != config.network or not set(found.taps) <= config.taps.keys():
        inverted, given = f"{config.network} {'+'.join(config.taps)}", f"{found.network} {'+'.join(found.taps)}"
        raise UserError(f"{folder} predicts from {given}, and {inverted} is inverted: choose a surrogate of these taps")
    if found.size != size:
        raise UserError(f"{folder} was trained with images of {found.size} px, these have {size}")
    return Surrogate(network=target["network"], tap=target["tap"], predict=found.module)
