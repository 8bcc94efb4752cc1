"""What a surrogate embedding is made of, as `train_surrogate` says it."""

from typing import Annotated, Literal

from pydantic import Field

from relume.core.config import config


@config
class LinearSurrogate:
    """A linear map, which begins at ridge regression's."""

    kind: Literal["linear"]
    grid: int = Field(ge=1)  # a map is averaged to at most so many cells a side


@config
class ResidualSurrogate:
    """The linear map, and residual layers that learn what it misses."""

    kind: Literal["residual"]
    grid: int = Field(ge=1)
    width: int = Field(ge=1)
    depth: int = Field(ge=0)  # residual layers
    dropout: float = Field(ge=0, lt=1)  # of what enters them


SurrogateArchitecture = Annotated[LinearSurrogate | ResidualSurrogate, Field(discriminator="kind")]
