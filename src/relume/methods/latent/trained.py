"""A trained mapper: from features to a latent of the generator that it was trained with."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.methods.latent.config import MapperArchitecture
from relume.methods.latent.model import Mapper, build
from relume.training.models import TrainedModel, load_model, shapes_of


class TrainedMapper(TrainedModel[Mapper]):
    @property
    def generator(self) -> str:
        """The generator's folder."""
        return self.card["config"]["generator"]

    @property
    def space(self) -> str:
        return self.card["config"]["space"]

    @torch.no_grad()
    def latents(self, features: Mapping[str, Tensor]) -> Tensor:
        """Features by tap -> z (N, latent), w (N, width) or w+ (N, layers, width)."""
        for tap, shape in self.shapes.items():
            if tuple(features[tap].shape[1:]) != shape:
                given = f"{tap} has {tuple(features[tap].shape[1:])}"
                raise UserError(f"mapper {self.name} was trained on features {shape}; {given}")
        found = self.module(features)
        if not bool(torch.isfinite(found).all()):
            raise UserError(f"mapper {self.name}: a latent is NaN or Inf")
        return found


def read_mapper(folder: Path, device: torch.device) -> TrainedMapper:
    return load_model(
        TrainedMapper,
        folder,
        device,
        "mapper",
        MapperArchitecture,
        lambda own, card: build(shapes_of(card), torch.zeros(card["latent"]), own),
    )
