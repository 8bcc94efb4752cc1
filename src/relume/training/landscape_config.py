"""Section `train_landscape`."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from relume.core.config import build, config, entries, merge
from relume.core.errors import UserError
from relume.models.landscape_config import LandscapeArchitecture
from relume.training.config import Name, Training
from relume.training.likeness_config import Alike

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


def landscape_model(shared: Mapping[str, Any], own: Mapping[str, Any], path: str) -> LandscapeConfig:
    """`shared` with a landscape's differences laid over it; `path` is its key."""
    return build(LandscapeConfig, merge(shared, own), path)


def landscape_models(section: Mapping[str, Any]) -> dict[str, LandscapeConfig]:
    """All of a section `train_landscape` given as plain data; every fault of every landscape is named."""
    build(TrainLandscape, section, "train_landscape")
    return entries(LandscapeConfig, section, "train_landscape")
