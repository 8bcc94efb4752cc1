"""Section `train_mapper`."""

from typing import Literal

from pydantic import Field

from relume.core.config import config
from relume.models.mapper_config import MapperArchitecture
from relume.training.config import Augment, Training


@config
class MapperLosses:
    """Weights of the terms; 0 costs nothing."""

    latent: float = Field(ge=0)  # of pictures that the generator made, whose latent is known, in units of the latents' variance
    pixel: float = Field(ge=0)  # of true pictures
    feature: float = Field(ge=0)  # of true pictures: the relative distance of what the network sees in the result

    def __post_init__(self) -> None:
        if self.latent == self.pixel == self.feature == 0:
            raise ValueError("latent: this weight, pixel and feature are all 0, so there is nothing to learn")


@config
class MapperConfig:
    """One mapper: of which network, which taps, to which generator's latents."""

    dataset: str
    generator: str = Field(pattern="^models/gan/[a-z][a-z0-9_]*$")  # the folder of the trained generator
    network: str
    taps: tuple[str, ...] = Field(min_length=1)
    space: Literal["z", "w", "w_plus"]  # S0's z
    architecture: MapperArchitecture
    losses: MapperLosses
    augment: Augment
    training: Training
    validation: int | None = Field(ge=1)  # the first pictures of the validation split; null: all of them

    def __post_init__(self) -> None:
        if self.space == "w_plus" and self.architecture.kind == "published":
            raise ValueError("space: the published mapper maps to z or w")
