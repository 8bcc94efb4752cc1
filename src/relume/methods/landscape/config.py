"""Sections `train_landscape` and `invert_landscape`: learned loss landscapes (Liu et al. 2022) and searches through them."""

from typing import Annotated, Literal

from pydantic import Field

from relume.core.config import config
from relume.core.errors import UserError
from relume.core.files import given
from relume.core.references import Count, Dataset, Folder, Once, Same, Split, TrainingSet, Validation
from relume.losses.config import LpipsTerm
from relume.training.config import Name, Training

MAPPERS = "models/mapper"
GENERATOR = Folder("models/gan", ("train_gan.models", "import_gan.models"))


@config
class LandscapeArchitecture:
    """Linear layers with layer normalisation and LeakyReLU between them."""

    hidden: tuple[int, ...] = Field(min_length=1)  # widths between state and latent; Liu et al.: 1024, 1024
    residual: bool  # what is learned is added to the state, and is nothing at first; Liu et al.: false
    # a residual one's states are along the axes along which gradients vary, so that Adam's steps fit each; Liu et al.: false
    rotated: bool

    def __post_init__(self) -> None:
        if self.rotated and not self.residual:
            raise ValueError("rotated: needs residual: true")


@config
class LandscapeLosses:
    """Weights of the terms."""

    mse: float = Field(gt=0)
    lpips: float = Field(ge=0)  # 0 costs nothing


@config
class LandscapeMeasures:
    """How terms measure."""

    lpips: LpipsTerm  # Liu et al.: vgg, which takes thirty times as long


Decay = Annotated[float, Field(ge=0, lt=1)]
Betas = tuple[Decay, Decay]


@config
class Descents:
    """The descents that theta is to make fast."""

    steps: int = Field(ge=1)  # Liu et al.: T = 20
    learning_rate: float = Field(gt=0)  # of Adam, in units of the latents' deviation; Liu et al.: 0.1
    betas: Betas  # Adam's memory; Liu et al.: 0.9, 0.999
    start: float = Field(ge=0)  # spread of the latents that are begun from; 1: the generator's own, 0: the mean
    per_batch: int = Field(ge=1)  # trajectories that go on at once, a step with each of theta's


@config
class SharedLandscape:
    """What landscapes have in common, unless one says otherwise."""

    dataset: Annotated[TrainingSet, Same("train_landscape.shared.dataset")]
    space: Literal["z", "w", "w_plus"]  # of the generator, where one descends
    architecture: LandscapeArchitecture
    losses: LandscapeLosses
    measures: LandscapeMeasures
    # a state's loss counts by the share of it that is gained, so that late states count as early ones; Liu et al.: false
    relative: bool
    descents: Descents
    replay: int = Field(ge=1)  # trajectories whose states are remembered, the last ones; Liu et al.: 500
    training: Training  # of theta: a batch is of remembered states
    validation: Validation = Field(ge=1)  # the first pictures of the validation split; null: all of them


@config
class LandscapeConfig(SharedLandscape):
    """One landscape: of which generator."""

    generator: Annotated[str, GENERATOR]  # the folder of the trained generator

    def __post_init__(self) -> None:
        if self.descents.per_batch > self.training.batch:
            raise ValueError(f"descents.per_batch: a batch, {self.training.batch}, at most; got {self.descents.per_batch}")
        if self.replay < self.descents.per_batch:
            raise ValueError(f"replay: one trajectory per walker, {self.descents.per_batch}, at least; got {self.replay}")

    def check(self, processes: int, path: str) -> None:
        """Each of them begins as many trajectories as `per_batch` says, with its own share of a batch."""
        share = self.training.batch // processes
        if self.descents.per_batch > share:
            raise UserError(f"{path}: {processes} processes have {share} rows of a batch each; got {self.descents.per_batch}")


@config
class Way:
    """One method: where it begins, what it descends through, how long."""

    # a draw of the generator's latents per seed, the generator's mean latent, or what a mapper says of the picture
    start: Literal["noise", "mean", "mapper"]
    theta: bool  # false: the latent itself is moved
    steps: int = Field(ge=0)
    learning_rate: float = Field(gt=0)  # of Adam, in units of the latents' deviation
    betas: Betas  # Adam's memory


@config
class Interval:
    """Of the losses over the steps, by the bootstrap over sources."""

    resamples: int = Field(ge=100)
    level: float = Field(gt=0, lt=1)


@config
class InvertLandscape:
    """One entry of section `invert_landscape`: a group, with a method for each of its ways. Its target is the picture itself."""

    dataset: Dataset
    split: Annotated[str, Split()]
    count: Annotated[int | None, Count()] = Field(ge=1)  # the first images of the split; null: all of them
    generator: Annotated[str, GENERATOR]  # the one that the landscape was trained with
    landscape: Annotated[str, Folder("models/landscape", ("train_landscape.models",))]
    mapper: Annotated[str, Folder(MAPPERS, ("train_mapper.models",), none=True)]
    # restarts of what begins at noise; the loss chooses
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Once] = Field(min_length=1)
    interval: Interval
    methods: dict[Name, Way] = Field(min_length=1)

    @property
    def mapped(self) -> bool:
        return given(self.mapper)

    def __post_init__(self) -> None:
        wanting = [name for name, way in self.methods.items() if way.start == "mapper"]
        if wanting and not self.mapped:
            raise ValueError(f"mapper: {', '.join(wanting)} begins where a mapper says: {MAPPERS}/<name> is wanted")


LandscapeGroups = dict[Name, InvertLandscape]  # the section
