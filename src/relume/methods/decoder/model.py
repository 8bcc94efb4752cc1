"""Decoders by the name that `params.yaml` calls them, and trained ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from relume.core.errors import UserError
from relume.methods.decoder.aligned import AlignedDecoder
from relume.methods.decoder.base import Decoder, Shapes
from relume.methods.decoder.config import Architecture
from relume.methods.decoder.multi_scale import MultiScaleDecoder
from relume.methods.decoder.published import ConvOnlyDecoder, PerLayerDecoder
from relume.training.models import TrainedModel, load_model, shapes_of

DECODERS: dict[str, Callable[[Shapes, int, Any], Decoder]] = {
    "per_layer": PerLayerDecoder,
    "conv_only": ConvOnlyDecoder,
    "multi_scale": MultiScaleDecoder,
    "aligned": AlignedDecoder,
}


def build(shapes: Shapes, size: int, architecture: Any) -> Decoder:
    """The decoder of these features that `architecture` (one of `models.config`) describes, with random weights."""
    for tap, shape in shapes.items():
        if len(shape) not in (1, 3) or (len(shape) == 3 and shape[1] != shape[2]):
            raise UserError(f"tap {tap}: features (C, h, h) or (D,) can be decoded, got {shape}")
    return DECODERS[architecture.kind](shapes, size, architecture)


class TrainedDecoder(TrainedModel[Decoder]):
    """`shapes` are those of the features that it decodes."""


def read_decoder(folder: Path, device: torch.device) -> TrainedDecoder:
    return load_model(
        TrainedDecoder, folder, device, "decoder", Architecture, lambda own, card: build(shapes_of(card), card["size"], own)
    )
