"""Sections `train_decoder` and `invert_decoder`: architectures, trainings and groups of decoders."""

from typing import Annotated, Literal

from pydantic import Field

from relume.core.config import config
from relume.core.files import NONE, given
from relume.core.references import Count, Entry, Extracted, Features, Holds, Once, Same, Tap, TheDataset, Validation
from relume.losses.config import LpipsTerm
from relume.training.config import Augment, Name, Training

DECODERS = ("train_decoder.decoders", "models/pretrained")  # trained here, and those that ship


@config
class PerLayer:
    """The per-layer AlexNet decoder of one tap, after Dosovitskiy and Brox (2016); its widths are its own."""

    kind: Literal["per_layer"]


@config
class ConvOnly:
    """The multi-layer ResNet-50 decoder (Egharevba 2025) of several maps at their smallest size; its widths are its own."""

    kind: Literal["conv_only"]


@config
class MultiScale:
    """Taps of any kind and number, each at the resolution that it has."""

    kind: Literal["multi_scale"]
    width: int = Field(ge=8, le=1024, multiple_of=8)  # channels at half the finest size; half of it at that size
    finest: int | None = Field(ge=4)  # px at which the last paint is laid on, enlarged from there; null: the picture's size


@config
class Aligned:
    """Deep maps of one side: a ridge regression from them to the picture, and a network that learns what it misses."""

    kind: Literal["aligned"]
    width: int = Field(ge=16, le=1024, multiple_of=16)  # channels of a cell; half of them at twice its resolution
    blocks: int = Field(ge=0, le=16)  # residual blocks over cells; 0: the regression alone
    attention: int = Field(ge=0, le=16)  # of these, how many are followed by attention over all cells
    fine: int = Field(ge=1, le=32)  # pixels on a side that a cell paints, a power of two; enlarged from there
    ridge: float = Field(gt=0)  # penalty of the regression, in units of a feature's mean variance

    def __post_init__(self) -> None:
        if self.fine & (self.fine - 1):
            raise ValueError(f"fine: a power of two is needed, got {self.fine}")


Architecture = Annotated[PerLayer | ConvOnly | MultiScale | Aligned, Field(discriminator="kind")]


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
    lpips: LpipsTerm
    adversarial: Adversary


@config
class Shared:
    """What decoders have in common, unless one says otherwise."""

    dataset: Annotated[TheDataset, Holds()]
    architecture: Architecture
    losses: DecoderLosses
    measures: Measures
    augment: Augment
    cutmix: float = Field(default=0.0, ge=0, le=1)  # share of training images with a rectangle of another one in them
    training: Training
    moments: int = Field(ge=2)  # training pictures, at most, that the channels' means and deviations are taken over
    validation: Validation = Field(ge=1)  # the first pictures of the validation split; null: all of them


@config
class DecoderConfig(Shared):
    """One decoder: of which network, which taps."""

    network: Extracted
    taps: Annotated[tuple[Annotated[str, Tap()], ...], Once] = Field(min_length=1)
    features: Annotated[str, Features(strict=True)] = str(NONE)  # below data/features; none: they are computed

    @property
    def cached(self) -> bool:
        return given(self.features)

    def __post_init__(self) -> None:
        if self.architecture.kind == "per_layer" and len(self.taps) > 1:
            raise ValueError(f"taps: architecture per_layer decodes one tap, got {len(self.taps)}")
        if self.cached and (self.cutmix or self.augment != Augment(flip=False, crop=0.0, colour=0.0)):
            cure = "set augment.flip to false, augment.crop, augment.colour and cutmix to 0"
            raise ValueError(f"features: those in the cache are of untouched pictures: {cure}")


@config
class InvertDecoder:
    """One entry of section `invert_decoder`: a group, with a method for each of its decoders."""

    dataset: TheDataset
    split: Annotated[str, Same("floors.split")]  # never the decoders' own training images
    count: Annotated[int | None, Count()] = Field(ge=1)  # the first pictures of the split; null: all of them
    decoders: tuple[Annotated[str, Entry(DECODERS)], ...] = Field(min_length=1)


DecoderGroups = dict[Name, InvertDecoder]  # the section
