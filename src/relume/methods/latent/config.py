"""Sections `train_mapper` and `invert_latent`: mappers to a generator's latents, and inversions in its latent space."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from relume.core.config import build, config
from relume.core.errors import UserError
from relume.core.files import given
from relume.core.references import Fetched, Folder, Holds, Sees, Tap, TheDataset, Validation
from relume.losses.config import Losses
from relume.methods.optimise.config import InversionConfig, InvertOptimise, Latent, Prior, merge_recipe
from relume.training.config import Augment, Name, Training


@config
class PublishedMapper:
    """Multi-objective inversion's mapper: Linear, BatchNorm, LeakyReLU, Linear, BatchNorm, on unscaled features."""

    kind: Literal["published"]
    width: int = Field(ge=1)  # of the hidden layer; in multi-objective inversion 2048


@config
class ResidualMapper:
    """Residual layers from the normalised taps to an offset from the mean latent."""

    kind: Literal["residual"]
    width: int = Field(ge=1)
    depth: int = Field(ge=0)  # residual layers
    grid: int = Field(ge=1)  # maps are averaged to at most this many cells per side


MapperArchitecture = Annotated[PublishedMapper | ResidualMapper, Field(discriminator="kind")]


MAPPERS, GENERATORS = "models/mapper", "models/gan"
GENERATOR = Folder(GENERATORS, ("train_gan.models", "import_gan.models"))
MAPPER = Folder(MAPPERS, ("train_mapper.models",), none=True)


@config
class MapperLosses:
    """Weights of the terms; terms of weight 0 are not computed."""

    latent: float = Field(ge=0)  # on samples, whose latent is known, in units of the latents' variance
    pixel: float = Field(ge=0)  # on real images
    feature: float = Field(ge=0)  # on real images: relative L2 distance of the features

    def __post_init__(self) -> None:
        if self.latent == self.pixel == self.feature == 0:
            raise ValueError("latent: one of latent, pixel and feature must not be 0")


@config
class SharedMapper:
    """Settings of all mappers; models override them."""

    dataset: Annotated[TheDataset, Holds()]
    space: Literal["z", "w", "w_plus"]  # in multi-objective inversion z
    architecture: MapperArchitecture
    losses: MapperLosses
    augment: Augment
    training: Training
    validation: Validation = Field(ge=1)  # the first images of the validation split; null: all


@config
class MapperConfig(SharedMapper):
    """A mapper from taps of a network to a generator's latents."""

    generator: Annotated[str, GENERATOR]  # the folder of a generator
    network: Annotated[Fetched, Sees()]
    taps: tuple[Annotated[str, Tap()], ...] = Field(min_length=1)

    def __post_init__(self) -> None:
        if self.space == "w_plus" and self.architecture.kind == "published":
            raise ValueError("space: the published mapper maps to z or w")


@config
class InvertLatent:
    """A group. The generator's mean image and the mapper's images are methods of it, too."""

    generator: Annotated[str, GENERATOR]  # the folder of a trained generator
    mapper: Annotated[str, MAPPER]  # the folder of a mapper to its latents, or none
    losses: Losses  # of this group, independent of the section `losses`; default 0
    base: dict[str, Any]  # differences from `invert_optimise`, such as a latent space
    methods: dict[Name, dict[str, Any]]  # differences from `base` and, in `losses`, from the group's `losses`

    @property
    def mapped(self) -> bool:
        return given(self.mapper)

    @property
    def floor(self) -> str:
        """The name of the baseline: the generator's mean image for all targets."""
        return f"floor_mean_{self.generator.rsplit('/', 1)[1]}"


LatentGroups = dict[Name, InvertLatent]  # the section


def follows(method: InversionConfig) -> bool:
    """Whether it starts from a mapper's latents or image."""
    return not isinstance(method.parametrisation, Latent) or method.parametrisation.start == "given"


def inherited(group: InvertLatent, section: Mapping[str, Any]) -> InvertLatent:
    """The group with `base` merged into `invert_optimise`, as plain data."""
    return replace(group, base=merge_recipe(section, group.base))


def base(group: InvertLatent, path: str) -> InvertOptimise:
    return build(InvertOptimise, group.base, f"{path}.base")


def method(group: InvertLatent, name: str, path: str) -> InversionConfig:
    """A method: its differences merged into the group's base and losses; `path` is the group's key."""
    key = f"{path}.methods.{name}"
    merged = merge_recipe({**group.base, "losses": asdict(group.losses)}, group.methods[name])
    found = build(InversionConfig, merged, key)
    if isinstance(found.parametrisation, Prior):
        raise UserError(f"params: {key}.parametrisation.kind: {found.parametrisation.kind} cannot start from the mapper's image")
    return found
