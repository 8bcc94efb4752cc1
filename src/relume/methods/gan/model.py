"""Generators and discriminators by the names in `params.yaml`, and trained generators."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from relume.core.errors import UserError
from relume.methods.gan.config import GeneratorArchitecture
from relume.methods.gan.dcgan import DcganDiscriminator, DcganGenerator
from relume.methods.gan.generator import Generator
from relume.methods.gan.style_gan import StyleDiscriminator, StyleGenerator
from relume.methods.gan.style_gan1 import StyleGan1Generator
from relume.training.models import TrainedModel, load_model

M = TypeVar("M", bound=nn.Module)

GENERATORS: dict[str, Callable[[Any, int], Generator]] = {
    "dcgan": DcganGenerator,
    "style": StyleGenerator,
    "stylegan": StyleGan1Generator,
}
DISCRIMINATORS: dict[str, Callable[[Any, int], nn.Module]] = {"dcgan": DcganDiscriminator, "style": StyleDiscriminator}


def generator(architecture: Any, size: int) -> Generator:
    """The generator of `architecture` (a class of `methods/gan/config.py`), with random weights."""
    return _built(GENERATORS, architecture, size)


def discriminator(architecture: Any, size: int) -> nn.Module:
    """The discriminator: images (N, 3, size, size) in [0, 1] -> scores (N,)."""
    return _built(DISCRIMINATORS, architecture, size)


def _built(makers: dict[str, Callable[[Any, int], M]], architecture: Any, size: int) -> M:
    try:
        return makers[architecture.kind](architecture, size)
    except ValueError as error:
        raise UserError(f"architecture {architecture.kind}: {error}") from None


class TrainedGan(TrainedModel[Generator]):
    @property
    def generator(self) -> Generator:
        return self.module


def read_gan(folder: Path, device: torch.device) -> TrainedGan:
    return load_model(TrainedGan, folder, device, "gan", GeneratorArchitecture, lambda own, card: generator(own, card["size"]))
