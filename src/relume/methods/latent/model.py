"""Mappers: features by tap, (N, C, h, h) or (N, D) -> a generator's latent in one pass, of the shape of the mean `centre`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.methods.latent.config import MapperArchitecture, PublishedMapper, ResidualMapper
from relume.training.models import TrainedModel, load_model, shapes_of

Shapes = Mapping[str, tuple[int, ...]]  # tap -> (C, h, h) or (D,)
SLOPE = 0.2  # of the LeakyReLU


Mapper = nn.Module  # features by tap -> latents (N, *centre.shape)


class Published(nn.Module):
    def __init__(self, shapes: Shapes, centre: Tensor, config: PublishedMapper) -> None:
        super().__init__()
        self.taps, self.shape = tuple(shapes), centre.shape
        inputs, outputs = sum(torch.Size(shape).numel() for shape in shapes.values()), centre.numel()
        self.layers = nn.Sequential(
            nn.Linear(inputs, config.width),
            nn.BatchNorm1d(config.width),
            nn.LeakyReLU(SLOPE),
            nn.Linear(config.width, outputs),
            nn.BatchNorm1d(outputs),
        )

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        found: Tensor = self.layers(torch.cat([features[tap].flatten(1) for tap in self.taps], dim=1))
        return found.float().unflatten(1, self.shape)


class Residual(nn.Module):
    """Its initial output is the mean latent."""

    centre: Tensor

    def __init__(self, shapes: Shapes, centre: Tensor, config: ResidualMapper) -> None:
        super().__init__()
        self.sides = {tap: min(config.grid, shape[1]) if len(shape) == 3 else None for tap, shape in shapes.items()}
        inputs = sum(shape[0] * (self.sides[tap] or 1) ** 2 for tap, shape in shapes.items())
        self.register_buffer("centre", centre.clone())
        self.enter = nn.Linear(inputs, config.width)
        self.blocks = nn.ModuleList(_block(config.width) for _ in range(config.depth))
        self.leave = nn.Linear(config.width, centre.numel())
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        x = self.enter(torch.cat([_scaled(features[tap], side) for tap, side in self.sides.items()], dim=1))
        for block in self.blocks:
            x = x + block(x)
        offset: Tensor = self.leave(F.leaky_relu(x, SLOPE)).float()
        return self.centre + offset.unflatten(1, self.centre.shape)


def _scaled(values: Tensor, side: int | None) -> Tensor:
    """A tap, normalised to mean 0 and std 1: (N, D)."""
    flat = values if side is None else F.adaptive_avg_pool2d(values, side).flatten(1)
    return F.layer_norm(flat, flat.shape[1:])


def _block(width: int) -> nn.Module:
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.LeakyReLU(SLOPE), nn.Linear(width, width))


MAPPERS: dict[str, Callable[[Shapes, Tensor, Any], Mapper]] = {"published": Published, "residual": Residual}


def build(shapes: Shapes, centre: Tensor, architecture: Any) -> Mapper:
    """The mapper of `architecture` (a class of `methods/latent/config.py`), with random weights."""
    return MAPPERS[architecture.kind](shapes, centre, architecture)


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
        self.check_features(features)
        return self.finite(self.module(features))


def read_mapper(folder: Path, device: torch.device) -> TrainedMapper:
    return load_model(
        TrainedMapper,
        folder,
        device,
        "mapper",
        MapperArchitecture,
        lambda own, card: build(shapes_of(card), torch.zeros(card["latent"]), own),
    )
