"""Sections `weights` and `extract`."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field

from relume.core.config import config
from relume.core.errors import UserError, one_of
from relume.core.references import Fetched, Once
from relume.networks.catalogue import HEADS, facts

Positive = Annotated[float, Field(gt=0)]


def _known(names: Iterable[str], also: tuple[str, ...] = ()) -> None:
    for name in (one for one in names if one not in also):
        try:
            facts(name, also)
        except UserError as error:
            raise ValueError(str(error)) from None


@config
class OwnNetwork:
    """An entry of section `networks`: a user-defined network. Its code is in a package, or below src/."""

    module: str = Field(pattern=r"^[\w.]+:[\w.-]+$")  # timm:<name>, torchvision:<name>, open_clip:<name> or <module>:<factory>
    kwargs: dict[str, Any] = Field(default_factory=dict)  # of the factory
    weights: str | None  # a safetensors file or a state dict, read with weights_only; null: the factory loads them
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")  # of that file: without it DVC does not detect changes
    mean: tuple[float, float, float]
    std: tuple[Positive, Positive, Positive]
    pixels: int = Field(ge=8)  # side of the input images
    any_size: bool = False  # accepts images of any size; else they are resized to `pixels`
    taps: Annotated[tuple[str, ...], Once] = Field(min_length=1)  # names of its modules; only these are extracted and inverted
    licence: str = "unknown"


@config
class Weights:
    networks: Annotated[tuple[str, ...], Once]  # of `catalogue.WEIGHTS`, or open_clip's <model>/<tag>

    def __post_init__(self) -> None:
        _known(self.networks, HEADS)


@config
class Extract:
    networks: Annotated[tuple[Fetched, ...], Once]  # of `catalogue.NETWORKS`, or open_clip's <model>/<tag>
    budget_mb: int = Field(ge=0)  # MiB of float16 features saved per dataset and network, smallest taps first
    pictures: int = Field(ge=2)  # at most this many training images for the statistics
    cached: tuple[str, ...] | None = None  # networks whose features are saved for all images; null: all networks
    held_out: tuple[str, ...] = ()  # further networks whose features are saved for images outside the training split

    def __post_init__(self) -> None:
        _known(self.networks)
        for key, names in (("cached", self.cached or ()), ("held_out", self.held_out)):
            if foreign := sorted(set(names) - set(self.networks)):
                raise ValueError(f"{key}: {foreign[0]!r} is not extracted; {one_of(self.networks, foreign[0])}")
