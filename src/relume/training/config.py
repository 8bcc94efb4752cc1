"""Settings of every training: steps, optimizer, schedule, averages, augmentation."""

from typing import Annotated, Any, Literal

from pydantic import Field

from relume.core.config import config

FEATURES = "data/features"  # output of `extract`
Name = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]  # of a folder, and of a method in the tables


def models_of(shared: type, names: str = "models") -> type:
    """The section of a training stage: `shared`, and below `names` the models, which state differences from `shared`."""
    return config(type("Models", (), {"__annotations__": {"shared": shared, names: dict[Name, dict[str, Any]]}}))


@config
class Constant:
    kind: Literal["constant"]


@config
class Cosine:
    """Half a cosine over the training."""

    kind: Literal["cosine"]
    final: float = Field(ge=0, le=1)  # factor of the learning rate at the end


@config
class Stepwise:
    """The rate is multiplied by `gamma` after each `every` steps."""

    kind: Literal["step"]
    every: int = Field(ge=1)
    gamma: float = Field(gt=0, le=1)


@config
class Training:
    steps: int = Field(ge=1)
    batch: int = Field(ge=1)
    optimiser: Literal["adam", "adamw"]
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]]
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    schedule: Annotated[Constant | Cosine | Stepwise, Field(discriminator="kind")]
    warmup: int = Field(ge=0)  # steps over which the rate rises from 0
    clip: float | None = Field(gt=0)  # largest gradient norm over all weights; null: no clipping
    ema: float = Field(ge=0, lt=1)  # decay of the weights' running average, which is saved; 0: no averaging
    log_every: int = Field(ge=1)  # steps between rows of history.csv, which are means over these steps
    validate_every: int = Field(ge=1)  # a multiple of log_every: steps between validations

    def __post_init__(self) -> None:
        if self.validate_every % self.log_every:
            raise ValueError(f"validate_every: must be a multiple of log_every, {self.log_every}; got {self.validate_every}")


@config
class Augment:
    """Augmentation of training images, before their features are computed. Images are never downscaled."""

    flip: bool  # horizontal, with probability 0.5
    crop: float = Field(ge=0, lt=1)  # largest share of the side that is cropped; the rest is resized to the image's size
    colour: float = Field(ge=0, le=1)  # share of images with random hue, saturation, contrast and brightness
