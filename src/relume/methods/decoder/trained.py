"""A trained decoder as it is used: frozen, with the features that it wants."""

from dataclasses import dataclass
from pathlib import Path

import torch

from relume.methods.decoder.base import Decoder
from relume.methods.decoder.config import Architecture
from relume.methods.decoder.model import build
from relume.training.models import load_model, shapes_of


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
    module, card = load_model(
        folder,
        device,
        kind="decoder",
        architecture=Architecture,
        build=lambda architecture, card: build(shapes_of(card), card["size"], architecture),
    )
    return TrainedDecoder(
        name=card["name"],
        network=card["config"]["network"],
        taps=tuple(card["config"]["taps"]),
        shapes=shapes_of(card),
        size=card["size"],
        module=module,
    )
