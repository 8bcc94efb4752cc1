"""A trained mapper as it is used: frozen, with the features that it wants and the generator that it speaks to."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from relume.core.config import config
from relume.core.errors import UserError
from relume.methods.latent.config import MapperArchitecture
from relume.methods.latent.model import Mapper, build
from relume.training.models import load_model, shapes_of


@config
class DescribedMapper:
    """What using a mapper needs of the configuration that it was trained with."""

    generator: str
    network: str
    taps: tuple[str, ...]
    space: str
    architecture: MapperArchitecture


@dataclass(frozen=True, kw_only=True)
class TrainedMapper:
    name: str
    generator: str  # the folder of the generator whose latents it names
    network: str
    taps: tuple[str, ...]
    space: str
    shapes: dict[str, tuple[int, ...]]
    size: int  # of the pictures whose features it has learned from
    module: Mapper

    @torch.no_grad()
    def latents(self, features: Mapping[str, Tensor]) -> Tensor:
        """Features by tap -> z (N, latent), w (N, width) or w+ (N, layers, width)."""
        for tap, shape in self.shapes.items():
            if tuple(features[tap].shape[1:]) != shape:
                there = f"{tap} has {tuple(features[tap].shape[1:])}"
                raise UserError(f"mapper {self.name} was trained on features {shape}; {there} here")
        found: Tensor = self.module(features)
        if not bool(torch.isfinite(found).all()):
            raise UserError(f"mapper {self.name} made latents with NaN or Inf")
        return found


def read_mapper(folder: Path, device: torch.device) -> TrainedMapper:
    """`models/mapper/<name>/`, ready to use."""

    def make(about: DescribedMapper, card: dict[str, Any]) -> Mapper:
        return build(shapes_of(card, about.taps), torch.zeros(card["latent"]), about.architecture)

    found = load_model(folder, device, kind="mapper", config=DescribedMapper, build=make)
    return TrainedMapper(
        name=found.card["name"],
        generator=found.config.generator,
        network=found.config.network,
        taps=found.config.taps,
        space=found.config.space,
        shapes=shapes_of(found.card, found.config.taps),
        size=found.card["size"],
        module=found.module,
    )
