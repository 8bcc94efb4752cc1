"""A trained decoder."""

from pathlib import Path

import torch

from relume.methods.decoder.base import Decoder
from relume.methods.decoder.config import Architecture
from relume.methods.decoder.model import build
from relume.training.models import TrainedModel, load_model, shapes_of


class TrainedDecoder(TrainedModel[Decoder]):
    """`shapes` are those of the features that it decodes."""


def read_decoder(folder: Path, device: torch.device) -> TrainedDecoder:
    return load_model(
        TrainedDecoder, folder, device, "decoder", Architecture, lambda own, card: build(shapes_of(card), card["size"], own)
    )
