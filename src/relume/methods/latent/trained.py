"""A trained mapper as it is used: frozen, with the features that it wants and the generator that it speaks to."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from relume.core.config import build as configured
from relume.core.config import config
from relume.core.errors import UserError
from relume.methods.latent.config import MapperArchitecture
from relume.methods.latent.model import Mapper, build
from relume.training.models import read_model


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
            raise UserError(f"mapper {self.name} made latents that are no numbers")
        return found


def read_mapper(folder: Path, device: torch.device) -> TrainedMapper:
    """`models/mapper/<name>/`, ready to be asked."""
    tensors, card = read_model(folder)
    stated = {key: card["config"][key] for key in DescribedMapper.__dataclass_fields__}
    about = configured(DescribedMapper, stated, f"{folder}/model.json")
    shapes = {tap: tuple(card["shapes"][tap]) for tap in about.taps}  # in the config's order: JSON sorts its keys
    module = build(shapes, torch.zeros(card["latent"]), about.architecture)
    module.load_state_dict(tensors)
    module.requires_grad_(False)
    return TrainedMapper(
        name=card["name"],
        generator=about.generator,
        network=about.network,
        taps=about.taps,
        space=about.space,
        shapes=shapes,
        size=card["size"],
        module=module.eval().to(device),
    )
