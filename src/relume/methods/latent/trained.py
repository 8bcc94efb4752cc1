"""A trained mapper as it is used: frozen, with the features that it wants and the generator that it speaks to."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.methods.latent.config import MapperArchitecture
from relume.methods.latent.model import Mapper, build
from relume.training.models import load_model, shapes_of


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
    module, card = load_model(
        folder,
        device,
        kind="mapper",
        architecture=MapperArchitecture,
        build=lambda architecture, card: build(shapes_of(card), torch.zeros(card["latent"]), architecture),
    )
    about = {key: card["config"][key] for key in ("generator", "network", "space")}
    taps = tuple(card["config"]["taps"])
    return TrainedMapper(name=card["name"], **about, taps=taps, shapes=shapes_of(card), size=card["size"], module=module)
