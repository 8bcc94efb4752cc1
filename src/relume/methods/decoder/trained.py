"""A trained decoder as it is used: frozen, with the features that it wants."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from relume.core.config import config
from relume.methods.decoder.base import Decoder
from relume.methods.decoder.config import Architecture
from relume.methods.decoder.model import build
from relume.training.models import load_model, shapes_of


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

    def make(about: Described, card: dict[str, Any]) -> Decoder:
        return build(shapes_of(card, about.taps), card["size"], about.architecture)

    found = load_model(folder, device, kind="decoder", config=Described, build=make)
    return TrainedDecoder(
        name=found.card["name"],
        network=found.config.network,
        taps=found.config.taps,
        shapes=shapes_of(found.card, found.config.taps),
        size=found.card["size"],
        module=found.module,
    )
