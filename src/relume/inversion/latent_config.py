"""Section `invert_latent`: groups of inversions in a generator's latent space."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field

from relume.core.config import build, config
from relume.core.errors import UserError, one_of
from relume.inversion.config import Factor, InvertOptimise, Latent, Parametrisation, Prior, merge
from relume.losses.config import Losses
from relume.training.config import Name

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
    return replace(group, base=merge(section, group.base))


def base(group: InvertLatent, path: str) -> InvertOptimise:
    return build(InvertOptimise, group.base, f"{path}.base")


def method(group: InvertLatent, name: str, path: str) -> Method:
    """A method's differences laid over the group's base; `path` is the group's key."""
    own = dict(group.methods[name])
    key = f"{path}.methods.{name}"
    factors = build(dict[str, Factor], own.pop("losses", {}), f"{key}.losses")
    weights = _weights(group.losses, factors, f"{key}.losses")
    inversion = build(InvertOptimise, merge(group.base, own), key)
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
