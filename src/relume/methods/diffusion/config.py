"""Sections `train_diffusion` and `invert_diffusion`: denoisers that see features, and groups of pictures drawn from them."""

from typing import Annotated

from pydantic import Field

from relume.core.config import config
from relume.core.references import Count, Entry, Extracted, Once, Same, Tap, TrainingSet, Validation
from relume.training.config import Augment, Name, Training

MODELS = "train_diffusion.models"
Width = Annotated[int, Field(ge=8, le=1024, multiple_of=8)]


@config
class UNet:
    """A U-net, half the side at every further width."""

    patch: int = Field(ge=1, le=16)  # px per side that make one cell of the first grid
    widths: tuple[Width, ...] = Field(min_length=1)  # channels of each grid
    features: Width  # channels that each tap is read into
    depth: int = Field(ge=0)  # blocks at the smallest grid, beside one at each grid on either way


@config
class Noise:
    """Standard deviations of the noise, for pictures in [-1, 1] (Karras et al., arXiv 2206.00364)."""

    mean: float  # of the logarithm of the deviations that are trained; their distribution is normal
    spread: float = Field(gt=0)  # its deviation
    least: float = Field(gt=0)  # where sampling ends, and begins
    most: float = Field(gt=0)

    def __post_init__(self) -> None:
        if self.least >= self.most:
            raise ValueError(f"least: must be below most, {self.most}, got {self.least}")


@config
class SharedDiffusion:
    """What denoisers have in common, unless one says otherwise."""

    dataset: Annotated[TrainingSet, Same("train_diffusion.shared.dataset")]
    architecture: UNet
    noise: Noise
    alone: bool  # a training picture is seen through one of the taps, drawn at random; else through all of them
    augment: Augment
    training: Training
    moments: int = Field(ge=2)  # training pictures, at most, that the channels' means and deviations are taken over
    validation: Validation = Field(ge=1)  # the first pictures of the validation split; null: all of them


@config
class DiffusionConfig(SharedDiffusion):
    """One denoiser: of which network, which taps."""

    network: Extracted
    taps: Annotated[tuple[Annotated[str, Tap()], ...], Once] = Field(min_length=1)


@config
class Seen:
    """What a denoiser is shown: one of its taps, or all of them, as it was trained."""

    model: Annotated[str, Entry((MODELS,))]
    tap: str | None  # null: all


@config
class InvertDiffusion:
    """One group. Each of `seen` makes the methods <name>_direct, <name>_sample and <name>_mean."""

    dataset: Annotated[str, Same("floors.dataset")]
    split: Annotated[str, Same("floors.split")]  # never the denoisers' own training images
    count: Annotated[int | None, Count()] = Field(ge=1)  # the first pictures of the split; null: all of them
    steps: int = Field(ge=1)  # of a draw
    draws: int = Field(ge=2)  # that the mean and the spread are taken over
    seen: dict[Name, Seen] = Field(min_length=1)


DiffusionGroups = dict[Name, InvertDiffusion]  # the section
