"""A trained masked model as it is used: frozen, at the size and cells that it learned."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from relume.core.config import config
from relume.core.errors import UserError
from relume.methods.masked.base import MaskedModel
from relume.methods.masked.config import MaskedArchitecture
from relume.methods.masked.model import build
from relume.training.models import load_model


@config
class DescribedMasked:
    """What using a masked model needs of the configuration that it was trained with."""

    architecture: MaskedArchitecture


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

    def make(about: DescribedMasked, card: dict[str, Any]) -> MaskedModel:
        return build(about.architecture, card["size"], card["config"]["masks"]["cell"])

    found = load_model(folder, device, kind="masked", config=DescribedMasked, build=make)
    if found.module.sees_all:
        raise UserError(f"{folder} is a {found.config.architecture.kind}: it is shown what is hidden, so it predicts nothing")
    return TrainedMasked(
        name=found.card["name"],
        dataset=found.card["data"]["dataset"],
        size=found.card["size"],
        cell=found.module.cell,
        parameters=found.card["parameters"],
        module=found.module,
    )
