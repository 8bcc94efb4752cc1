"""Sections `train_gan` and `import_gan`: architectures and trainings of generators, and generators read from files."""

from typing import Annotated, Literal

from pydantic import Field

from relume.core.config import config
from relume.core.references import Entry, Same, Sees, Tap, TrainingSet, Validation
from relume.training.config import Augment, Name, Training


@config
class Dcgan:
    """Multi-objective inversion's: latent 128 or 2048, width 64 to 512."""

    kind: Literal["dcgan"]
    latent: int = Field(ge=1)  # numbers of z
    width: int = Field(ge=1)  # channels at half the picture's size, doubled towards the smallest maps


@config
class Style:
    """A style-based generator (StyleGAN2) with a residual discriminator."""

    kind: Literal["style"]
    latent: int = Field(ge=1)  # numbers of z
    style: int = Field(ge=1)  # numbers of w
    mapping: int = Field(ge=1)  # layers from z to w; published 8, 2 for small data
    width: int = Field(ge=1)  # channels at the picture's size, doubled towards the smallest maps
    widest: int = Field(ge=1)  # channels at most

    def __post_init__(self) -> None:
        if self.widest < self.width:
            raise ValueError(f"widest: at least the width, {self.width}, is wanted; got {self.widest}")


@config
class StyleGan1:
    """The first StyleGAN (Karras et al., arXiv 1812.04948), as files hold it."""

    kind: Literal["stylegan"]
    latent: int = Field(ge=1)  # numbers of z; published 512
    style: int = Field(ge=1)  # numbers of w; published 512
    mapping: int = Field(ge=1)  # layers from z to w; published 8
    widths: tuple[int, ...]  # channels at 4 px, 8 px, … the picture's size
    fused: int = Field(ge=8)  # the first side that a transposed convolution doubles to; below, maps are enlarged, then convolved
    bias_last: bool  # what doubles adds its bias after the blur, not before


GanArchitecture = Annotated[Dcgan | Style, Field(discriminator="kind")]  # can be trained
GeneratorArchitecture = Annotated[Dcgan | Style | StyleGan1, Field(discriminator="kind")]  # can be used


Beta = Annotated[float, Field(ge=0, lt=1)]


@config
class LeastSquares:
    """Least squares, with a history of earlier samples (multi-objective inversion)."""

    kind: Literal["least_squares"]
    label: float = Field(gt=0, le=1)  # the score of a true picture; in multi-objective inversion 0.9
    history: int = Field(ge=1)  # made pictures that are remembered, and shown to the discriminator again


@config
class Logistic:
    """StyleGAN2's objective. What is asked with probability 1 / every counts so many times more."""

    kind: Literal["logistic"]
    r1: float = Field(ge=0)  # gamma: half of it times the squared gradient of the score of true pictures
    r1_every: int = Field(ge=1)  # steps, on average; published 16
    path_length: float = Field(ge=0)  # weight of (length - mean)^2, of how far a picture moves with w; published 2
    path_every: int = Field(ge=1)  # steps, on average; published 4


@config
class Moments:
    """No discriminator: pictures are to be, as a set, what a frozen network sees in true ones."""

    kind: Literal["moments"]
    network: Annotated[
        str, Entry(("weights.networks",)), Sees("pixels")
    ]  # another than metric_network's, whose KID would otherwise measure what was trained for
    taps: tuple[Annotated[str, Tap()], ...] = Field(min_length=1)
    pixels: int | None = Field(ge=8)  # pictures are enlarged to it; null: as they are
    cells: int = Field(ge=1)  # per side of a tap's map; each has means of its own
    pictures: int = Field(ge=2)  # the first so many true ones, and their mirror images, to be compared with


@config
class DiffAugment:
    """What the discriminator is shown of every picture."""

    colour: bool
    translate: float = Field(ge=0, lt=1)  # of the side, either way; published 1/8
    cutout: float = Field(ge=0, lt=1)  # side of the square, of the picture's; published 1/2


@config
class MetricNetwork:
    """By whose embeddings samples are compared with validation pictures while it trains: a tap's mean over positions."""

    network: Annotated[str, Entry(("weights.networks",)), Sees("pixels")]
    tap: Annotated[str, Tap()]
    pixels: int | None = Field(default=None, ge=32)  # pictures are enlarged to it; null: as they are. Small ones look all alike


@config
class Drawn:
    """What is made with the trained generator, to be looked at and measured."""

    count: int = Field(ge=2)  # pictures
    walks: int = Field(ge=1)  # ways from one latent to another
    steps: int = Field(ge=2)  # pictures on each, both ends among them
    truncation: float = Field(gt=0, le=1)  # psi: less than 1 draws them towards the mean picture


@config
class SharedGan:
    """What generators have in common, unless one says otherwise."""

    dataset: Annotated[TrainingSet, Same("train_gan.shared.dataset")]
    architecture: GanArchitecture
    objective: Annotated[LeastSquares | Logistic | Moments, Field(discriminator="kind")]
    discriminator_rate: float = Field(gt=0)  # its learning rate; it follows the generator's schedule
    discriminator_betas: tuple[Beta, Beta]  # of its Adam; in multi-objective inversion 0.5 and 0.999, StyleGAN2's 0 and 0.99
    diff_augment: DiffAugment
    augment: Augment  # of the true pictures, for good: what the generator makes will look so, too
    training: Training  # of the generator
    metric_network: MetricNetwork
    samples: int = Field(ge=2)  # pictures that are made for a comparison
    validation: Validation = Field(ge=2)  # the first pictures of the validation split; null: all of them
    withheld: int = Field(ge=0)  # the last so many training pictures are not learned from, but kept for score_samples
    drawn: Drawn


@config
class GanConfig(SharedGan):
    """One generator."""

    def __post_init__(self) -> None:
        if isinstance(self.objective, LeastSquares) and self.objective.history < self.training.batch:
            raise ValueError(
                f"objective.history: a batch, {self.training.batch} pictures, is wanted at least; got {self.objective.history}"
            )
        if isinstance(self.objective, Moments) and self.objective.network == self.metric_network.network:
            raise ValueError(f"objective.network: {self.metric_network.network} is the metric network: another one is needed")
        if isinstance(self.objective, Moments) and self.training.batch < 2:
            raise ValueError("training.batch: two pictures are wanted at least; by one no set can be known")


@config
class ExternalGan:
    """A generator that others have trained."""

    kind: Literal["stylegan"]
    source: Annotated[str, Field(min_length=1)]  # a file, or its address; its name is also looked for in RELUME_WEIGHTS
    sha256: str = Field(pattern="^[0-9a-f]{64}$")  # of that file: so the file itself is no dependency
    pixels: int = Field(ge=8)  # px of its pictures

    def __post_init__(self) -> None:
        if self.pixels & (self.pixels - 1):
            raise ValueError(f"pixels: needs 8, 16, 32, …, got {self.pixels}")


@config
class ImportGan:
    models: dict[Name, ExternalGan]
