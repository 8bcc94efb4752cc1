"""Sections `train_mapper` and `invert_latent`: mappers to a generator's latents, and inversions in its latent space."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from relume.core.config import build, config, entries
from relume.core.errors import UserError, one_of
from relume.losses.config import Losses
from relume.methods.optimise.config import Factor, InvertOptimise, Latent, Parametrisation, Prior, merge_recipe
from relume.training.config import Augment, Name, Training


@config
class PublishedMapper:
    """S0's: Linear, batch normalisation, LeakyReLU, Linear, batch normalisation, from the features as they are."""

    kind: Literal["published"]
    width: int = Field(ge=1)  # of the layer between; S0's 2048


@config
class ResidualMapper:
    """From every tap at a scale of its own, by residual layers, to what is added to the mean latent."""

    kind: Literal["residual"]
    width: int = Field(ge=1)
    depth: int = Field(ge=0)  # residual layers
    grid: int = Field(ge=1)  # a map is averaged to at most so many cells a side


MapperArchitecture = Annotated[PublishedMapper | ResidualMapper, Field(discriminator="kind")]


MODELS = "models/mapper"


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

    dataset: str
    space: Literal["z", "w", "w_plus"]  # S0's z
    architecture: MapperArchitecture
    losses: MapperLosses
    augment: Augment
    training: Training
    validation: int | None = Field(ge=1)  # the first pictures of the validation split; null: all of them


@config
class MapperConfig(SharedMapper):
    """One mapper: of which network, which taps, to which generator's latents."""

    generator: str = Field(pattern="^models/gan/[a-z][a-z0-9_]*$")  # the folder of the trained generator
    network: str
    taps: tuple[str, ...] = Field(min_length=1)

    def __post_init__(self) -> None:
        if self.space == "w_plus" and self.architecture.kind == "published":
            raise ValueError("space: the published mapper maps to z or w")


@config
class TrainMapper:
    """Section `train_mapper`. An entry of `models` states generator, network, taps, and only what differs from `shared`."""

    shared: SharedMapper
    models: dict[Name, dict[str, Any]]


def mappers(section: Mapping[str, Any]) -> dict[str, MapperConfig]:
    """All of a section `train_mapper` given as plain data; every fault of every mapper is named."""
    build(TrainMapper, section, "train_mapper")
    return entries(MapperConfig, section, "train_mapper")


MAPPERS, GENERATORS = "models/mapper", "models/gan"


@config
class InvertLatent:
    """One group. The generator's mean picture and the mapper's pictures are methods of it, too."""

    generator: str = Field(pattern=f"^{GENERATORS}/[a-z][a-z0-9_]*$")  # the folder of a trained generator
    mapper: str = Field(pattern=f"^({MAPPERS}|{GENERATORS})/[a-z][a-z0-9_]*$")  # of a mapper; the generator's again: none
    losses: dict[str, Factor]  # weights of this group's own; terms that are not named cost nothing
    base: dict[str, Any]  # differences from `invert_optimise`; a latent space is one
    methods: dict[Name, dict[str, Any]]  # differences from `base`, and `losses`: factors on the weights

    def __post_init__(self) -> None:
        terms = list(Losses.__dataclass_fields__)
        for name in self.losses:
            if name not in terms:
                raise ValueError(f"losses.{name}: no such term; {one_of(terms, name)}")
        if not self.mapper.startswith(f"{MAPPERS}/") and self.mapper != self.generator:
            raise ValueError(f"mapper: {MAPPERS}/<name>, or {self.generator} for none; got {self.mapper!r}")

    @property
    def mapped(self) -> bool:
        return self.mapper.startswith(f"{MAPPERS}/")

    @property
    def floor(self) -> str:
        """The method that shows the generator's mean picture, whatever is wanted."""
        return f"floor_mean_{self.generator.rsplit('/', 1)[1]}"


LatentGroups = dict[Name, InvertLatent]  # the section


@dataclass(frozen=True, kw_only=True)
class Method:
    """One method: an inversion that begins in a latent space, or at the mapper's picture, and the weights of its terms."""

    inversion: InvertOptimise
    space: Parametrisation  # where it begins
    losses: dict[str, float]

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
    """A method's differences laid over the group's base; `path` is the group's key."""
    own = dict(group.methods[name])
    key = f"{path}.methods.{name}"
    factors = build(dict[str, Factor], own.pop("losses", {}), f"{key}.losses")
    weights = _weights(group.losses, factors, f"{key}.losses")
    inversion = build(InvertOptimise, merge_recipe(group.base, own), key)
    space = inversion.parametrisation
    if isinstance(space, Prior):
        raise UserError(f"params: {key}.parametrisation.kind: {space.kind} cannot begin with the mapper's picture")
    if not weights:
        raise UserError(f"params: {key}.losses: every weight is 0, so there is nothing to minimise")
    return Method(inversion=inversion, space=space, losses=weights)


def _weights(weights: Mapping[str, float], factors: Mapping[str, float], key: str) -> dict[str, float]:
    """Terms that end at 0 are left out."""
    for name in factors:
        if name not in weights:
            raise UserError(f"params: {key}: {name} has no weight in the group's losses; {one_of(weights, name)}")
    found = {name: weight * factors.get(name, 1.0) for name, weight in weights.items()}
    return {name: weight for name, weight in found.items() if weight > 0}
