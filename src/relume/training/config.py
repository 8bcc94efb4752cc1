"""Section `train_decoder`, and what every training states: steps, optimiser, schedule, averages."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from relume.core.config import build, config, entries, merge
from relume.models.config import Architecture

FEATURES = "data/features"  # where `extract` keeps what it keeps
Name = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]  # a folder's, and a method's in every table


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
    validate_every: int = Field(ge=1)  # a multiple of log_every: steps between looks at the validation pictures

    def __post_init__(self) -> None:
        if self.validate_every % self.log_every:
            raise ValueError(f"validate_every: a multiple of log_every, {self.log_every}, is wanted; got {self.validate_every}")


@config
class Augment:
    """What training pictures go through before their features are computed. Nothing is ever shrunk."""

    flip: bool  # left and right, every other time
    crop: float = Field(ge=0, lt=1)  # up to this share of the side is cut away, what remains is enlarged to the size
    colour: float = Field(ge=0, le=1)  # share of the pictures whose hue, saturation, contrast and brightness are drawn anew


@config
class DecoderLosses:
    """Weights of the terms; 0 costs nothing."""

    pixel: float = Field(ge=0)
    lpips: float = Field(ge=0)
    feature: float = Field(ge=0)  # relative distance, at the inverted taps, of what the network sees in the result
    adversarial: float = Field(ge=0)  # how well a discriminator that learns alongside tells the result from a true picture

    def __post_init__(self) -> None:
        if self.pixel == self.lpips == self.feature == 0:
            more = ", for `adversarial` cannot tell by itself which weights are best" if self.adversarial else ""
            raise ValueError(f"pixel: this weight, lpips and feature are all 0, so there is nothing to learn{more}")


@config
class Adversary:
    """The discriminator of the term `adversarial`."""

    learning_rate: float = Field(gt=0)  # it follows the decoder's schedule
    width: int = Field(ge=4, le=512)  # channels at half the picture's size, four times as many in the end


@config
class Measures:
    """How terms measure."""

    pixel: Literal["mse", "l1"]
    lpips: Literal["alex", "vgg"]
    adversarial: Adversary


@config
class Shared:
    """What decoders have in common, unless one says otherwise."""

    dataset: str
    architecture: Architecture
    losses: DecoderLosses
    measures: Measures
    augment: Augment
    training: Training
    moments: int = Field(ge=2)  # training pictures, at most, that the channels' means and deviations are taken over
    validation: int | None = Field(ge=1)  # the first pictures of the validation split; null: all of them


@config
class DecoderConfig(Shared):
    """One decoder: of which network, which taps."""

    network: str
    taps: tuple[str, ...] = Field(min_length=1)
    features: str | None = None  # the folder below data/features that holds the taps; the images' or null: they are computed

    @property
    def cached(self) -> bool:
        return (self.features or "").startswith(f"{FEATURES}/")

    def __post_init__(self) -> None:
        if len(set(self.taps)) < len(self.taps):
            raise ValueError(f"taps: each once, got {list(self.taps)}")
        if self.architecture.kind == "per_layer" and len(self.taps) > 1:
            raise ValueError(f"taps: architecture per_layer decodes one tap, got {len(self.taps)}")
        if self.cached and self.augment != Augment(flip=False, crop=0.0, colour=0.0):
            cure = "set augment.flip to false, augment.crop and augment.colour to 0"
            raise ValueError(f"features: those in the cache are of untouched pictures: {cure}")


@config
class TrainDecoder:
    """Section `train_decoder`. An entry of `decoders` states network, taps, and only what differs from `shared`."""

    shared: Shared
    decoders: dict[Name, dict[str, Any]]


def decoder(shared: Mapping[str, Any], own: Mapping[str, Any], path: str) -> DecoderConfig:
    """`shared` with a decoder's differences laid over it; `path` is the decoder's key."""
    return build(DecoderConfig, merge(shared, own), path)


def decoders(section: Mapping[str, Any]) -> dict[str, DecoderConfig]:
    """All of a section `train_decoder` given as plain data; every fault of every decoder is named."""
    build(TrainDecoder, section, "train_decoder")
    return entries(DecoderConfig, section, "train_decoder", "decoders")
