"""A trained masked model, for images of its training size and cells."""

from pathlib import Path

import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.methods.masked.base import MaskedModel
from relume.methods.masked.config import MaskedArchitecture
from relume.methods.masked.model import build
from relume.training.models import TrainedModel, load_model


class TrainedMasked(TrainedModel[MaskedModel]):
    @property
    def cell(self) -> int:
        return self.module.cell

    @torch.no_grad()
    def predict(self, images: Tensor, hidden: Tensor) -> Tensor:
        """(N, 3, size, size), hidden (N, side, side) -> predicted whole images."""
        image = self.module(images, hidden).picture
        if not bool(torch.isfinite(image).all()):
            raise UserError(f"masked model {self.name}: the prediction is NaN or Inf")
        return image


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
