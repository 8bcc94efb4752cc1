"""Masked models by the names in `params.yaml`, and trained ones, for images of their training size and cells."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.data.store import Dataset, batches
from relume.methods.masked.base import MaskedModel, Prediction
from relume.methods.masked.beit import Beit, Tokenizer
from relume.methods.masked.config import MaskedArchitecture
from relume.methods.masked.energy_transformer import EnergyTransformer
from relume.methods.masked.mae import Mae
from relume.methods.masked.mixed_ae import MixedAe
from relume.methods.masked.simmim import SimMim
from relume.methods.masked.unet import Unet
from relume.training.models import TrainedModel, load_model

MASKED: dict[str, Callable[[Any, int, int], MaskedModel]] = {
    "energy_transformer": EnergyTransformer,
    "mae": Mae,
    "mixed_ae": MixedAe,
    "simmim": SimMim,
    "unet": Unet,
    "beit": Beit,
    "tokenizer": Tokenizer,
}


@runtime_checkable
class Mixing(Protocol):
    """A model that is trained on mixed images."""

    def mixed(self, images: Tensor, partners: Tensor, hidden: Tensor) -> Prediction: ...


def build(architecture: Any, size: int, cell: int) -> MaskedModel:
    """The model of `architecture` (a class of `methods/masked/config.py`), with random weights; `cell`: of masks, px."""
    try:
        return MASKED[architecture.kind](architecture, size, cell)
    except ValueError as error:
        raise UserError(f"architecture {architecture.kind}: {error}") from None


class TrainedMasked(TrainedModel[MaskedModel]):
    @property
    def cell(self) -> int:
        return self.module.cell

    @torch.no_grad()
    def predict(self, images: Tensor, hidden: Tensor) -> Tensor:
        """(N, 3, size, size), hidden (N, side, side) -> predicted whole images."""
        return self.finite(self.module(images, hidden).picture)


def read_masked(folder: Path, device: torch.device) -> TrainedMasked:
    found = load_model(
        TrainedMasked,
        folder,
        device,
        "masked",
        MaskedArchitecture,
        lambda own, card: build(own, card["size"], card["config"]["masks"]["cell"]),
    )
    if found.module.sees_all:
        kind = found.card["config"]["architecture"]["kind"]
        raise UserError(f"{folder}: needs a masked model, got a {kind}")
    return found


@torch.no_grad()
def represent(model: TrainedMasked, dataset: Dataset, rows: list[int], micro_batch: int) -> np.ndarray:
    """Features of rows of a dataset: float32 (N, D)."""
    model.check_images(dataset)
    device = next(model.module.parameters()).device
    parts = batches(rows, micro_batch)
    return np.concatenate([model.module.represent(dataset.pixels(part).to(device)).float().cpu().numpy() for part in parts])
