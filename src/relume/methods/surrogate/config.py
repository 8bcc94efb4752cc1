"""Section `train_surrogate`: maps from one network's features to another's embedding."""

from typing import Annotated, Literal

from pydantic import Field

from relume.core.config import config
from relume.core.references import Features, Fetched, Once, Same, Tap, TrainingSet, Validation
from relume.training.config import Training


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


SURROGATES = "models/surrogate"


@config
class SurrogateLosses:
    """Weights of the terms; 0 costs nothing."""

    cosine: float = Field(ge=0)  # 1 - cos of what is predicted and what is true
    mse: float = Field(ge=0)  # mean over the standardised numbers

    def __post_init__(self) -> None:
        if self.cosine == self.mse == 0:
            raise ValueError("cosine: this weight and mse are both 0, so there is nothing to learn")


@config
class Target:
    """What is predicted: another network's tap."""

    network: Fetched
    tap: Annotated[str, Tap()]
    features: Annotated[str, Features()]  # the folder below data/features that may hold it; data/none: it is computed


@config
class SharedSurrogate:
    """What surrogates have in common, unless one says otherwise."""

    dataset: Annotated[TrainingSet, Same("train_surrogate.shared.dataset")]
    architecture: SurrogateArchitecture
    penalties: tuple[Annotated[float, Field(gt=0)], ...] = Field(min_length=1)  # of the ridge; the best in validation is taken
    losses: SurrogateLosses
    training: Training
    validation: Validation = Field(ge=1)  # the first pictures of the validation split; null: all of them


@config
class SurrogateConfig(SharedSurrogate):
    """One surrogate: from which taps of which network to which tap of which other."""

    network: Fetched
    taps: Annotated[tuple[Annotated[str, Tap()], ...], Once] = Field(min_length=1)
    features: Annotated[str, Features()]  # the folder below data/features that may hold the taps; data/none: they are computed
    target: Target

    def __post_init__(self) -> None:
        if self.network == self.target.network and self.target.tap in self.taps:
            raise ValueError(f"target.tap: {self.target.tap} is given already, so there is nothing to predict")
