"""Sections `train_mapper` and `invert_latent`: mappers to a generator's latents, and inversions in its latent space."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from relume.core.config import build, config
from relume.core.errors import UserError
from relume.core.files import given
from relume.core.references import Fetched, Folder, Same, Sees, Tap, TrainingSet, Validation
from relume.losses.config import Losses
from relume.methods.optimise.config import InversionConfig, InvertOptimise, Latent, Parametrisation, Prior, merge_recipe
from relume.training.config import Augment, Name, Training


@config
class PublishedMapper:
    """Multi-objective inversion's: Linear, batch normalisation, LeakyReLU, Linear, batch normalisation, on unchanged features."""

    kind: Literal["published"]
    width: int = Field(ge=1)  # of the layer between; in multi-objective inversion 2048


@config
class ResidualMapper:
    """From every tap at a scale of its own, by residual layers, to what is added to the mean latent."""

    kind: Literal["residual"]
    width: int = Field(ge=1)
    depth: int = Field(ge=0)  # residual layers
    grid: int = Field(ge=1)  # a map is averaged to at most so many cells a side


MapperArchitecture = Annotated[PublishedMapper | ResidualMapper, Field(discriminator="kind")]


MAPPERS, GENERATORS = "models/mapper", "models/gan"
MODELS = MAPPERS
GENERATOR = Folder(GENERATORS, ("train_gan.models", "import_gan.models"))
MAPPER = Folder(MAPPERS, ("train_mapper.models",), none=True)


@config
class MapperLosses:
    """Weights of the terms; 0 costs nothing."""

    latent: float = Field(ge=0)  # of pictures that the generator made, whose latent is known, in units of the latents' variance
    pixel: float = Field(ge=0)  # of true pictures
    feature: float = Field(ge=0)  # of true pictures: the relative distance of what the network sees in the result

    def __post_init__(self) -> None:
        if self.latent == self.pixel == self.feature == 0:
            raise ValueError("latent: this weight, pixel and feature are all 0, so there is nothing to learn")


@config
class SharedMapper:
    """What mappers have in common, unless one says otherwise."""

    dataset: Annotated[TrainingSet, Same("train_mapper.shared.dataset")]
    space: Literal["z", "w", "w_plus"]  # in multi-objective inversion z
    architecture: MapperArchitecture
    losses: MapperLosses
    augment: Augment
    training: Training
    validation: Validation = Field(ge=1)  # the first pictures of the validation split; null: all of them


@config
class MapperConfig(SharedMapper):
    """One mapper: of which network, which taps, to which generator's latents."""

    generator: Annotated[str, GENERATOR]  # the folder of a generator
    network: Annotated[Fetched, Sees()]
    taps: tuple[Annotated[str, Tap()], ...] = Field(min_length=1)

    def __post_init__(self) -> None:
        if self.space == "w_plus" and self.architecture.kind == "published":
            raise ValueError("space: the published mapper maps to z or w")


@config
class InvertLatent:
    """One group. The generator's mean picture and the mapper's pictures are methods of it, too."""

    generator: Annotated[str, GENERATOR]  # the folder of a trained generator
    mapper: Annotated[str, MAPPER]  # the folder of a mapper to its latents, or none
    losses: Losses  # this group's own: what it does not state costs nothing, whatever the section `losses` says
    base: dict[str, Any]  # differences from `invert_optimise`; a latent space is one
    methods: dict[Name, dict[str, Any]]  # differences from `base` and, below `losses`, from the group's

    @property
    def mapped(self) -> bool:
        return given(self.mapper)

    @property
    def floor(self) -> str:
        """The method that shows the generator's mean picture, whatever is wanted."""
        return f"floor_mean_{self.generator.rsplit('/', 1)[1]}"


LatentGroups = dict[Name, InvertLatent]  # the section


@dataclass(frozen=True, kw_only=True)
class Method:
    """One method: an inversion that begins in a latent space, or at the mapper's picture."""

    inversion: InversionConfig

    @property
    def space(self) -> Parametrisation:
        """Where it begins."""
        return self.inversion.parametrisation

    @property
    def follows(self) -> bool:
        """It begins where a mapper says."""
        return not isinstance(self.space, Latent) or self.space.start == "given"


def inherited(group: InvertLatent, section: Mapping[str, Any]) -> InvertLatent:
    """Its `base` laid over `invert_optimise`, given as plain data: all that base and methods are made from."""
    return replace(group, base=merge_recipe(section, group.base))


def base(group: InvertLatent, path: str) -> InvertOptimise:
    return build(InvertOptimise, group.base, f"{path}.base")


def method(group: InvertLatent, name: str, path: str) -> Method:
    """A method's differences laid over the group's base and losses; `path` is the group's key."""
    key = f"{path}.methods.{name}"
    merged = merge_recipe({**group.base, "losses": asdict(group.losses)}, group.methods[name])
    found = Method(inversion=build(InversionConfig, merged, key))
    if isinstance(found.space, Prior):
        raise UserError(f"params: {key}.parametrisation.kind: {found.space.kind} cannot begin with the mapper's picture")
    return found
