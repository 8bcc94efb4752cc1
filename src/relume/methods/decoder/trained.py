"""A trained decoder as it is used: frozen, with the features that it wants."""

from dataclasses import dataclass
from pathlib import Path

import torch

from relume.core.config import build as configured
from relume.core.config import config
from relume.methods.decoder.base import Decoder
from relume.methods.decoder.config import Architecture
from relume.methods.decoder.model import build
from relume.training.models import read_model


@config
class Described:
    """What using a decoder needs of the configuration that it was trained with."""

    network: str
    taps: tuple[str, ...]
    architecture: Architecture


@dataclass(frozen=True, kw_only=True)
class TrainedDecoder:
    name: str
    network: str
    taps: tuple[str, ...]
    shapes: dict[str, tuple[int, ...]]
    size: int
    module: Decoder


def read_decoder(folder: Path, device: torch.device) -> TrainedDecoder:
    """`models/decoder/<name>/`, ready to decode."""
    tensors, card = read_model(folder)
    stated = {key: card["config"][key] for key in ("network", "taps", "architecture")}
    about = configured(Described, stated, f"{folder}/model.json")
    shapes = {tap: tuple(card["shapes"][tap]) for tap in about.taps}  # in the config's order: JSON sorts its keys
    module = build(shapes, card["size"], about.architecture)
    module.load_state_dict(tensors)
    module.requires_grad_(False)
    return TrainedDecoder(
        name=card["name"],
        network=about.network,
        taps=about.taps,
        shapes=shapes,
        size=card["size"],
        module=module.eval().to(device),
    )
