"""A trained surrogate, for the term `surrogate`."""

from pathlib import Path

import torch

from relume.methods.optimise.terms import Surrogate
from relume.methods.surrogate.config import SurrogateArchitecture
from relume.methods.surrogate.model import SurrogateMap
from relume.training.models import TrainedModel, load_model, shapes_of


def read_surrogate(folder: Path, device: torch.device) -> TrainedModel[SurrogateMap]:
    """Its target is `card["config"]["target"]`: another network and its tap."""
    return load_model(
        TrainedModel[SurrogateMap],
        folder,
        device,
        "surrogate",
        SurrogateArchitecture,
        lambda own, card: SurrogateMap(shapes_of(card), card["shape"], own),
    )


def learned(folder: Path, device: torch.device) -> Surrogate:
    """Its taps and image size are checked with the parameters."""
    found = read_surrogate(folder, device)
    target = found.card["config"]["target"]
    return Surrogate(network=target["network"], tap=target["tap"], predict=found.module)
