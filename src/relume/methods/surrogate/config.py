"""Section `train_surrogate`: maps from one network's features to another's embedding."""

from typing import Annotated, Literal

from pydantic import Field

from relume.core.config import config
from relume.core.references import Features, Fetched, Holds, Once, Tap, TheDataset, Validation
from relume.training.config import Training


@config
class LinearSurrogate:
    """A linear map, initialised by ridge regression."""

    kind: Literal["linear"]
    grid: int = Field(ge=1)  # maps are averaged to at most this many cells per side


@config
class ResidualSurrogate:
    """The linear map plus residual layers."""

    kind: Literal["residual"]
    grid: int = Field(ge=1)
    width: int = Field(ge=1)
    depth: int = Field(ge=0)  # residual layers
    dropout: float = Field(ge=0, lt=1)  # of their inputs


SurrogateArchitecture = Annotated[LinearSurrogate | ResidualSurrogate, Field(discriminator="kind")]


@config
class SurrogateLosses:
    """Weights of the terms."""

    cosine: float = Field(ge=0)  # 1 - cos(prediction, target)
    mse: float = Field(ge=0)  # mean over standardised coordinates

    def __post_init__(self) -> None:
        if self.cosine == self.mse == 0:
            raise ValueError("cosine: one of cosine and mse must not be 0")


@config
class Target:
    """The predicted tap of another network."""

    network: Fetched
    tap: Annotated[str, Tap()]
    features: Annotated[str, Features()]  # its folder below data/features; data/none: it is computed


@config
class SharedSurrogate:
    """Settings of all surrogates; models override them."""

    dataset: Annotated[TheDataset, Holds()]
    architecture: SurrogateArchitecture
    penalties: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        min_length=1
    )  # of the ridge regression; validation selects the best
    losses: SurrogateLosses
    training: Training
    validation: Validation = Field(ge=1)  # the first images of the validation split; null: all


@config
class SurrogateConfig(SharedSurrogate):
    """A surrogate from taps of one network to a tap of another."""

    network: Fetched
    taps: Annotated[tuple[Annotated[str, Tap()], ...], Once] = Field(min_length=1)
    features: Annotated[str, Features()]  # their folder below data/features; data/none: they are computed
    target: Target

    def __post_init__(self) -> None:
        if self.network == self.target.network and self.target.tap in self.taps:
            raise ValueError(f"target.tap: {self.target.tap} must not be one of taps, {list(self.taps)}")
