"""Sections `train_diffusion` and `invert_diffusion`: conditional denoisers, and groups of images sampled from them."""

from typing import Annotated

from pydantic import Field

from relume.core.config import config
from relume.core.references import Count, Entry, Extracted, Holds, Once, Same, Tap, TheDataset, Validation
from relume.training.config import Augment, Name, Training

MODELS = "train_diffusion.models"
Width = Annotated[int, Field(ge=8, le=1024, multiple_of=8)]


@config
class UNet:
    """A U-net. Every further width halves the resolution."""

    patch: int = Field(ge=1, le=16)  # side of a patch in px: a cell of the first grid
    widths: tuple[Width, ...] = Field(min_length=1)  # channels per resolution
    features: Width  # channels after the projection of each tap
    depth: int = Field(ge=0)  # blocks at the smallest resolution; the others have one block each way


@config
class Noise:
    """Standard deviations of the noise, for pictures in [-1, 1] (Karras et al., arXiv 2206.00364)."""

    mean: float  # of the logarithm of the trained deviations, which is normally distributed
    spread: float = Field(gt=0)  # standard deviation of that logarithm
    least: float = Field(gt=0)  # smallest deviation in sampling; `most` is the largest
    most: float = Field(gt=0)

    def __post_init__(self) -> None:
        if self.least >= self.most:
            raise ValueError(f"least: must be below most, {self.most}, got {self.least}")


@config
class SharedDiffusion:
    """Defaults of all denoisers."""

    dataset: Annotated[TheDataset, Holds()]
    architecture: UNet
    noise: Noise
    alone: bool  # condition each training image on one random tap; else on all taps
    augment: Augment
    training: Training
    moments: int = Field(ge=2)  # training images, at most, for the channels' means and deviations
    validation: Validation = Field(ge=1)  # the first images of the validation split; null: all


@config
class DiffusionConfig(SharedDiffusion):
    """One denoiser: its network and taps."""

    network: Extracted
    taps: Annotated[tuple[Annotated[str, Tap()], ...], Once] = Field(min_length=1)


@config
class Seen:
    """The condition of a denoiser: one of its taps, or all, as in training."""

    model: Annotated[str, Entry((MODELS,))]
    tap: str | None  # null: all


@config
class InvertDiffusion:
    """One group. Each entry of `seen` gives the methods <name>_direct, <name>_sample and <name>_mean."""

    dataset: TheDataset
    split: Annotated[str, Same("floors.split")]  # never the denoisers' own training images
    count: Annotated[int | None, Count()] = Field(ge=1)  # the first images of the split; null: all
    steps: int = Field(ge=1)  # sampling steps
    draws: int = Field(ge=2)  # samples for mean and spread
    seen: dict[Name, Seen] = Field(min_length=1)


DiffusionGroups = dict[Name, InvertDiffusion]  # the section
