"""A trained masked model as it is used: frozen, at the size and cells that it learned."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from relume.core.config import build as configured
from relume.core.config import config
from relume.core.errors import UserError
from relume.methods.masked.base import MaskedModel
from relume.methods.masked.config import MaskedArchitecture
from relume.methods.masked.model import build
from relume.training.models import read_model


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
            raise UserError(f"masked model {self.name} made values that are no numbers")
        return picture


def read_masked(folder: Path, device: torch.device) -> TrainedMasked:
    """`models/masked/<name>/`, ready to predict."""
    tensors, card = read_model(folder)
    stated = {"architecture": card["config"]["architecture"]}
    cell = card["config"]["masks"]["cell"]
    module = build(configured(DescribedMasked, stated, f"{folder}/model.json").architecture, card["size"], cell)
    if module.sees_all:
        raise UserError(f"{folder} is a {stated['architecture']['kind']}: it is shown what is hidden, so it predicts nothing")
    module.load_state_dict(tensors)
    module.requires_grad_(False)
    return TrainedMasked(
        name=card["name"],
        dataset=card["data"]["dataset"],
        size=card["size"],
        cell=cell,
        parameters=card["parameters"],
        module=module.eval().to(device),
    )
