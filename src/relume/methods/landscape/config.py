"""Sections `train_landscape` and `invert_landscape`: learned loss landscapes (Liu et al. 2022) and searches through them."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from relume.core.config import build, config, entries
from relume.core.errors import UserError
from relume.training.config import Name, Training


@config
class LandscapeArchitecture:
    """Linear layers with layer normalisation and LeakyReLU between them."""

    hidden: tuple[int, ...] = Field(min_length=1)  # widths between state and latent; S1's 1024, 1024
    residual: bool  # what is learned is added to the state, and is nothing at first; S1's false
    # a residual one's states are along the axes of what slopes vary in, so that Adam's steps fit each; S1's false
    turned: bool

    def __post_init__(self) -> None:
        if self.turned and not self.residual:
            raise ValueError("turned: only what is residual can be")


@config
class Alike:
    """Weights of the terms, and the network that LPIPS looks through."""

    mse: float = Field(gt=0)
    lpips: float = Field(ge=0)  # 0 costs nothing
    judge: Literal["alex", "vgg"]  # S1's vgg, which takes thirty times as long


Decay = Annotated[float, Field(ge=0, lt=1)]
Betas = tuple[Decay, Decay]


@config
class Descents:
    """The descents that theta is to make fast."""

    steps: int = Field(ge=1)  # S1's T = 20
    learning_rate: float = Field(gt=0)  # of Adam, in units of the latents' deviation; S1's 0.1
    betas: Betas  # Adam's memory; S1's 0.9, 0.999
    start: float = Field(ge=0)  # spread of the latents that are begun from; 1: the generator's own, 0: the mean
    walkers: int = Field(ge=1)  # trajectories that go on at once, a step with each of theta's


@config
class SharedLandscape:
    """What landscapes have in common, unless one says otherwise."""

    dataset: str
    space: Literal["z", "w", "w_plus"]  # of the generator, where one descends
    architecture: LandscapeArchitecture
    loss: Alike
    relative: bool  # a state's loss counts by the share of it that is gained, so that late states count as early ones; S1's false
    descents: Descents
    replay: int = Field(ge=1)  # trajectories whose states are remembered, the last ones; S1's 500
    training: Training  # of theta: a batch is of remembered states
    validation: int | None = Field(ge=1)  # the first pictures of the validation split; null: all of them


@config
class LandscapeConfig(SharedLandscape):
    """One landscape: of which generator."""

    generator: str = Field(pattern="^models/gan/[a-z][a-z0-9_]*$")  # the folder of the trained generator

    def __post_init__(self) -> None:
        if self.descents.walkers > self.training.batch:
            raise ValueError(f"descents.walkers: a batch, {self.training.batch}, at most; got {self.descents.walkers}")
        if self.replay < self.descents.walkers:
            raise ValueError(f"replay: one trajectory per walker, {self.descents.walkers}, at least; got {self.replay}")

    def check(self, processes: int, path: str) -> None:
        """Each of them begins as many trajectories as it has walkers with its own share of a batch."""
        share = self.training.batch // processes
        if self.descents.walkers > share:
            raise UserError(f"{path}: {processes} processes have {share} rows of a batch each; got {self.descents.walkers}")


@config
class TrainLandscape:
    """Section `train_landscape`. An entry of `models` states its generator, and only what differs from `shared`."""

    shared: SharedLandscape
    models: dict[Name, dict[str, Any]]


def landscape_models(section: Mapping[str, Any]) -> dict[str, LandscapeConfig]:
    """All of a section `train_landscape` given as plain data; every fault of every landscape is named."""
    build(TrainLandscape, section, "train_landscape")
    return entries(LandscapeConfig, section, "train_landscape")


MAPPERS = "models/mapper"


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

    dataset: str
    split: str
    count: int | None = Field(ge=1)  # the first pictures of the split; null: all of them
    generator: str = Field(pattern="^models/gan/[a-z][a-z0-9_]*$")  # the one that the landscape was trained with
    landscape: str = Field(pattern="^models/landscape/[a-z][a-z0-9_]*$")
    mapper: str = Field(pattern="^models/(mapper|gan)/[a-z][a-z0-9_]*$")  # the generator's folder again: none
    # restarts of what begins at noise; the loss chooses
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    interval: Interval
    methods: dict[Name, Way] = Field(min_length=1)

    @property
    def mapped(self) -> bool:
        return self.mapper.startswith(f"{MAPPERS}/")

    def __post_init__(self) -> None:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds: each once, got {list(self.seeds)}")
        wanting = [name for name, way in self.methods.items() if way.start == "mapper"]
        if wanting and not self.mapped:
            raise ValueError(f"mapper: {', '.join(wanting)} begins where a mapper says: {MAPPERS}/<name> is wanted")
        if not self.mapped and self.mapper != self.generator:
            raise ValueError(f"mapper: {MAPPERS}/<name>, or the generator's folder, {self.generator}: none; got {self.mapper}")


LandscapeGroups = dict[Name, InvertLandscape]  # the section
