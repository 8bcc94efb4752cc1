"""Section `invert_landscape`."""

from typing import Annotated, Literal

from pydantic import Field

from relume.core.config import config
from relume.training.config import Name
from relume.training.landscape_config import Betas

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
