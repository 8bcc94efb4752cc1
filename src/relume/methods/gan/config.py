"""Sections `train_gan` and `import_gan`: architectures and trainings of generators, and generators read from files."""

from typing import Annotated, Literal

from pydantic import Field

from relume.core.config import config
from relume.core.references import Entry, Same, Sees, Tap, TrainingSet, Validation
from relume.training.config import Augment, Name, Training


@config
class Dcgan:
    """Multi-objective inversion's DCGAN: latent 128 or 2048, width 64 to 512."""

    kind: Literal["dcgan"]
    latent: int = Field(ge=1)  # channels of z
    width: int = Field(ge=1)  # channels at half the image's size, doubled at each smaller map


@config
class Style:
    """A style-based generator (StyleGAN2) with a residual discriminator."""

    kind: Literal["style"]
    latent: int = Field(ge=1)  # channels of z
    style: int = Field(ge=1)  # channels of w
    mapping: int = Field(ge=1)  # layers from z to w; published 8, 2 for small data
    width: int = Field(ge=1)  # channels at the image's size, doubled at each smaller map
    widest: int = Field(ge=1)  # maximum of the channels

    def __post_init__(self) -> None:
        if self.widest < self.width:
            raise ValueError(f"widest: must be at least width, {self.width}; got {self.widest}")


@config
class StyleGan1:
    """The first StyleGAN (Karras et al., arXiv 1812.04948), for imported weights."""

    kind: Literal["stylegan"]
    latent: int = Field(ge=1)  # channels of z; published 512
    style: int = Field(ge=1)  # channels of w; published 512
    mapping: int = Field(ge=1)  # layers from z to w; published 8
    widths: tuple[int, ...]  # channels at 4 px, 8 px, … the image's size
    fused: int = Field(ge=8)  # the first side of upsampling by transposed convolutions; below, nearest upsampling and convolution
    bias_last: bool  # upsampling layers add their bias after the blur


GanArchitecture = Annotated[Dcgan | Style, Field(discriminator="kind")]  # can be trained
GeneratorArchitecture = Annotated[Dcgan | Style | StyleGan1, Field(discriminator="kind")]  # can be used


Beta = Annotated[float, Field(ge=0, lt=1)]


@config
class LeastSquares:
    """Least squares, with a history of earlier samples (multi-objective inversion)."""

    kind: Literal["least_squares"]
    label: float = Field(gt=0, le=1)  # the target score of real images; in multi-objective inversion 0.9
    history: int = Field(ge=1)  # number of earlier samples for the discriminator


@config
class Logistic:
    """StyleGAN2's objective. Regularisers are computed with probability 1 / every, and weighted by every."""

    kind: Literal["logistic"]
    r1: float = Field(ge=0)  # gamma: weight of half the squared gradient of the score at real images
    r1_every: int = Field(ge=1)  # steps, on average; published 16
    path_length: float = Field(ge=0)  # weight of path-length regularisation; published 2
    path_every: int = Field(ge=1)  # steps, on average; published 4


@config
class Moments:
    """No discriminator: a frozen network's features of samples and of real images must match as sets."""

    kind: Literal["moments"]
    network: Annotated[str, Entry(("weights.networks",)), Sees("pixels")]  # not metric_network's: it is for validation
    taps: tuple[Annotated[str, Tap()], ...] = Field(min_length=1)
    pixels: int | None = Field(ge=8)  # images are resized to it; null: not resized
    cells: int = Field(ge=1)  # per side of a tap's map; means are taken per cell
    pictures: int = Field(ge=2)  # number of real images for the comparison, each also mirrored


@config
class DiffAugment:
    """Augmentation of the discriminator's inputs."""

    colour: bool
    translate: float = Field(ge=0, lt=1)  # at most, as a share of the side, in both directions; published 1/8
    cutout: float = Field(ge=0, lt=1)  # side of the square, as a share of the image's; published 1/2


@config
class MetricNetwork:
    """The embedding of samples and validation images for validation: a tap's mean over positions."""

    network: Annotated[str, Entry(("weights.networks",)), Sees("pixels")]
    tap: Annotated[str, Tap()]
    pixels: int | None = Field(default=None, ge=32)  # images are resized to it; null: not resized


@config
class Drawn:
    """Samples of the trained generator, in data/samples."""

    count: int = Field(ge=2)  # samples
    walks: int = Field(ge=1)  # interpolations between two latents
    steps: int = Field(ge=2)  # images of each interpolation, both ends included
    truncation: float = Field(gt=0, le=1)  # psi of the truncation trick; 1: no truncation


@config
class SharedGan:
    """Settings of all generators; models override them."""

    dataset: Annotated[TrainingSet, Same("train_gan.shared.dataset")]
    architecture: GanArchitecture
    objective: Annotated[LeastSquares | Logistic | Moments, Field(discriminator="kind")]
    discriminator_rate: float = Field(gt=0)  # learning rate; it follows the generator's schedule
    discriminator_betas: tuple[Beta, Beta]  # of its Adam; in multi-objective inversion 0.5 and 0.999, StyleGAN2's 0 and 0.99
    diff_augment: DiffAugment
    augment: Augment  # of real images; samples will look augmented, too
    training: Training  # of the generator
    metric_network: MetricNetwork
    samples: int = Field(ge=2)  # number of samples for validation
    validation: Validation = Field(ge=2)  # the first images of the validation split; null: all
    withheld: int = Field(ge=0)  # number of last training images not trained on, but used by score_samples
    drawn: Drawn


@config
class GanConfig(SharedGan):
    def __post_init__(self) -> None:
        if isinstance(self.objective, LeastSquares) and self.objective.history < self.training.batch:
            raise ValueError(
                f"objective.history: must be at least the batch, {self.training.batch}; got {self.objective.history}"
            )
        if isinstance(self.objective, Moments) and self.objective.network == self.metric_network.network:
            raise ValueError(f"objective.network: must not be metric_network.network, {self.metric_network.network}")
        if isinstance(self.objective, Moments) and self.training.batch < 2:
            raise ValueError("training.batch: must be at least 2 with objective moments")


@config
class ExternalGan:
    """A published generator."""

    kind: Literal["stylegan"]
    source: Annotated[str, Field(min_length=1)]  # a file or its URL; RELUME_WEIGHTS is searched for its name, too
    sha256: str = Field(pattern="^[0-9a-f]{64}$")  # of that file, which is therefore not a DVC dependency
    pixels: int = Field(ge=8)  # side of its images

    def __post_init__(self) -> None:
        if self.pixels & (self.pixels - 1):
            raise ValueError(f"pixels: needs 8, 16, 32, …, got {self.pixels}")


@config
class ImportGan:
    models: dict[Name, ExternalGan]
