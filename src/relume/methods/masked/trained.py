"""A trained masked model as it is used: frozen, at the size and cells that it learned."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.methods.masked.base import MaskedModel
from relume.methods.masked.config import MaskedArchitecture
from relume.methods.masked.model import build
from relume.training.models import load_model


@dataclass(frozen=True, kw_only=True)
class TrainedMasked:
    name: str
    dataset: str
    size: int
    cell: int
    parameters: int
    module: MaskedModel

    @torch.no_grad()
    def predict(self, images: Tensor, hidden: Tensor) -> Tensor:
        """(N, 3, size, size), hidden (N, side, side) -> the whole pictures, predicted."""
        picture: Tensor = self.module(images, hidden).picture
        if not bool(torch.isfinite(picture).all()):
            raise UserError(f"masked model {self.name} made NaN or Inf")
        return picture


def read_masked(folder: Path, device: torch.device) -> TrainedMasked:
    """`models/masked/<name>/`, ready to predict."""
    module, card = load_model(
        folder,
        device,
        kind="masked",
        architecture=MaskedArchitecture,
        build=lambda architecture, card: build(architecture, card["size"], card["config"]["masks"]["cell"]),
    )
    if module.sees_all:
        kind = card["config"]["architecture"]["kind"]
        raise UserError(f"{folder} is a {kind}: it is shown what is hidden, so it predicts nothing")
    return TrainedMasked(
        name=card["name"],
        dataset=card["data"]["dataset"],
        size=card["size"],
        cell=module.cell,
        parameters=card["parameters"],
        module=module,
    )
