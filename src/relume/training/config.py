"""What every training states: steps, optimiser, schedule, averages."""

from typing import Annotated, Any, Literal

from pydantic import Field

from relume.core.config import config

FEATURES = "data/features"  # where `extract` keeps what it keeps
Name = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]  # a folder's, and a method's in every table


def models_of(shared: type, names: str = "models") -> type:
    """The section of a stage that trains: `shared`, and below `names` the models, which state only what differs from it."""
    return config(type("Models", (), {"__annotations__": {"shared": shared, names: dict[Name, dict[str, Any]]}}))


@config
class Constant:
    kind: Literal["constant"]


@config
class Cosine:
    """Along half a cosine over the whole training."""

    kind: Literal["cosine"]
    final: float = Field(ge=0, le=1)  # share of the rate that is left at the end


@config
class Stepwise:
    """Times `gamma` after every so many steps."""

    kind: Literal["step"]
    every: int = Field(ge=1)
    gamma: float = Field(gt=0, le=1)


@config
class Training:
    """One training, of whatever it is. An epoch is as many steps as batches go into the pictures."""

    steps: int = Field(ge=1)
    batch: int = Field(ge=1)
    optimiser: Literal["adam", "adamw"]
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]]
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    schedule: Annotated[Constant | Cosine | Stepwise, Field(discriminator="kind")]
    warmup: int = Field(ge=0)  # steps over which the rate rises from 0
    clip: float | None = Field(gt=0)  # longest gradient, over all weights together; null: any
    # decay of the running average of the weights, which is what is kept; 0: the weights themselves
    ema: float = Field(ge=0, lt=1)
    log_every: int = Field(ge=1)  # steps between rows of history.csv, which are means over them
    validate_every: int = Field(ge=1)  # a multiple of log_every: steps between validations

    def __post_init__(self) -> None:
        if self.validate_every % self.log_every:
            raise ValueError(f"validate_every: a multiple of log_every, {self.log_every}, is wanted; got {self.validate_every}")


@config
class Augment:
    """What training pictures go through before their features are computed. Nothing is ever shrunk."""

    flip: bool  # left and right, every other time
    crop: float = Field(ge=0, lt=1)  # up to this share of the side is cut away, what remains is enlarged to the size
    colour: float = Field(ge=0, le=1)  # share of the pictures whose hue, saturation, contrast and brightness are drawn anew
