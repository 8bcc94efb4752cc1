"""What a mapper is made of, as `train_mapper` says it."""

from typing import Annotated, Literal

from pydantic import Field

from relume.core.config import config


@config
class PublishedMapper:
    """S0's: Linear, batch normalisation, LeakyReLU, Linear, batch normalisation, from the features as they are."""

    kind: Literal["published"]
    width: int = Field(ge=1)  # of the layer between; S0's 2048


@config
class ResidualMapper:
    """From every tap at a scale of its own, by residual layers, to what is added to the mean latent."""

    kind: Literal["residual"]
    width: int = Field(ge=1)
    depth: int = Field(ge=0)  # residual layers
    grid: int = Field(ge=1)  # a map is averaged to at most so many cells a side


MapperArchitecture = Annotated[PublishedMapper | ResidualMapper, Field(discriminator="kind")]
