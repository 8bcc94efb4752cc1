"""Sections `train_landscape` and `invert_landscape`: learned loss landscapes (Liu et al. 2022) and searches through them."""

from typing import Annotated, Literal

from pydantic import Field

from relume.core.config import config
from relume.core.errors import UserError
from relume.core.files import given
from relume.core.references import Count, Folder, Once, Same, Split, TheDataset, TrainingSet, Validation
from relume.losses.config import LpipsTerm
from relume.training.config import Name, Training

MAPPERS = "models/mapper"
GENERATOR = Folder("models/gan", ("train_gan.models", "import_gan.models"))


@config
class LandscapeArchitecture:
    hidden: tuple[int, ...] = Field(min_length=1)  # widths between state and latent; Liu et al.: 1024, 1024
    residual: bool  # theta(z) = z + layers(z), with layers(z) = 0 initially; Liu et al.: false
    rotated: bool  # rotate states to the principal axes of gradients, which suits Adam; Liu et al.: false

    def __post_init__(self) -> None:
        if self.rotated and not self.residual:
            raise ValueError("rotated: needs residual: true")


@config
class LandscapeLosses:
    mse: float = Field(gt=0)
    lpips: float = Field(ge=0)


@config
class LandscapeMeasures:
    lpips: LpipsTerm  # Liu et al.: vgg, which is thirty times slower


Decay = Annotated[float, Field(ge=0, lt=1)]
Betas = tuple[Decay, Decay]


@config
class Descents:
    """The descents that theta is trained for."""

    steps: int = Field(ge=1)  # Liu et al.: T = 20
    learning_rate: float = Field(gt=0)  # of Adam, in units of the latents' std; Liu et al.: 0.1
    betas: Betas  # of Adam; Liu et al.: 0.9, 0.999
    start: float = Field(ge=0)  # std of the initial latents; 1: that of the generator's latents, 0: the mean latent
    per_batch: int = Field(ge=1)  # simultaneous trajectories, one step each per training step


@config
class SharedLandscape:
    """Settings of all landscapes; models override them."""

    dataset: Annotated[TrainingSet, Same("train_landscape.shared.dataset")]
    space: Literal["z", "w", "w_plus"]  # of the generator's latents
    architecture: LandscapeArchitecture
    losses: LandscapeLosses
    measures: LandscapeMeasures
    relative: bool  # weight a state's loss by its inverse, so that late states count as much as early ones; Liu et al.: false
    descents: Descents
    replay: int = Field(ge=1)  # last trajectories in the replay buffer; Liu et al.: 500
    training: Training  # of theta; a batch is drawn from the replay buffer
    validation: Validation = Field(ge=1)  # the first images of the validation split; null: all


@config
class LandscapeConfig(SharedLandscape):
    """A landscape of a generator."""

    generator: Annotated[str, GENERATOR]  # the folder of the trained generator

    def __post_init__(self) -> None:
        if self.descents.per_batch > self.training.batch:
            raise ValueError(
                f"descents.per_batch: must be at most training.batch, {self.training.batch}; got {self.descents.per_batch}"
            )
        if self.replay < self.descents.per_batch:
            raise ValueError(f"replay: must be at least descents.per_batch, {self.descents.per_batch}; got {self.replay}")

    def check(self, processes: int, path: str) -> None:
        """Raises UserError if a process's share of a batch is smaller than `per_batch`."""
        share = self.training.batch // processes
        if self.descents.per_batch > share:
            raise UserError(
                f"{path}: must be at most {share}, the batch per process with {processes}; got {self.descents.per_batch}"
            )


@config
class Way:
    """A method: initial state, with or without theta, number of steps."""

    start: Literal["noise", "mean", "mapper"]  # a random latent per seed, the mean latent, or the mapper's latent
    theta: bool  # false: optimise the latent itself
    steps: int = Field(ge=0)
    learning_rate: float = Field(gt=0)  # of Adam, in units of the latents' std
    betas: Betas  # of Adam


@config
class Interval:
    """The interval of the losses at each step, by bootstrap over sources."""

    resamples: int = Field(ge=100)
    level: float = Field(gt=0, lt=1)


@config
class InvertLandscape:
    """An entry of section `invert_landscape`: a group. Its target is the image."""

    dataset: TheDataset
    split: Annotated[str, Split()]
    count: Annotated[int | None, Count()] = Field(ge=1)  # the first images of the split; null: all
    generator: Annotated[str, GENERATOR]  # the landscape's generator
    landscape: Annotated[str, Folder("models/landscape", ("train_landscape.models",))]
    mapper: Annotated[str, Folder(MAPPERS, ("train_mapper.models",), none=True)]
    # of methods with start noise; the seed with the lowest loss is selected
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Once] = Field(min_length=1)
    interval: Interval
    methods: dict[Name, Way] = Field(min_length=1)

    @property
    def mapped(self) -> bool:
        return given(self.mapper)

    def __post_init__(self) -> None:
        starting = [name for name, way in self.methods.items() if way.start == "mapper"]
        if starting and not self.mapped:
            raise ValueError(f"mapper: {', '.join(starting)} has start mapper: needs {MAPPERS}/<name>, got {self.mapper}")


LandscapeGroups = dict[Name, InvertLandscape]  # the section
