"""Sections `weights` and `extract`."""

from typing import Annotated, Any

from pydantic import Field

from relume.core.config import config
from relume.core.errors import UserError, one_of
from relume.core.references import Dataset, Fetched, Once
from relume.networks.catalogue import check_network, check_weights

Positive = Annotated[float, Field(gt=0)]


@config
class OwnNetwork:
    """An entry of section `networks`: a network that is not of the catalogue. Its code is in a package, or below src/."""

    module: str = Field(pattern=r"^[\w.]+:[\w.-]+$")  # timm:<name>, torchvision:<name>, open_clip:<name> or <module>:<factory>
    kwargs: dict[str, Any] = Field(default_factory=dict)  # of the factory
    weights: str | None  # a safetensors file or a state dict, which is read with weights_only; null: the factory brings them
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")  # of that file: without it DVC notices no other content
    mean: tuple[float, float, float]
    std: tuple[Positive, Positive, Positive]
    pixels: int = Field(ge=8)  # of the images that it takes
    any_size: bool = False  # it takes images of any size; else they are resized to `pixels`
    taps: Annotated[tuple[str, ...], Once] = Field(min_length=1)  # names of its modules; only these are extracted and inverted
    licence: str = "unknown"


@config
class Weights:
    """Section `weights`: which sets the stage brings together."""

    networks: Annotated[tuple[str, ...], Once]  # of `catalogue.WEIGHTS`, or open_clip's <model>/<tag>

    def __post_init__(self) -> None:
        for name in self.networks:
            try:
                check_weights(name)
            except UserError as error:
                raise ValueError(str(error)) from None


@config
class Extract:
    """Section `extract`."""

    datasets: Annotated[tuple[Dataset, ...], Once]
    networks: Annotated[tuple[Fetched, ...], Once]  # of `catalogue.NETWORKS`, or open_clip's <model>/<tag>
    budget_mb: int = Field(
        ge=0
    )  # MiB of float16 maps per dataset and network, smallest first; what is over is computed on the fly
    pictures: int = Field(ge=2)  # of the train split, at most, that the statistics are taken over
    cached: tuple[str, ...] | None = None  # networks that keep anything at all beside statistics; null: every one
    held_out: tuple[str, ...] = ()  # of the others, those that keep it of pictures outside the training split: for evaluation

    def __post_init__(self) -> None:
        for name in self.networks:
            try:
                check_network(name)
            except UserError as error:
                raise ValueError(str(error)) from None
        for key, names in (("cached", self.cached or ()), ("held_out", self.held_out)):
            if foreign := sorted(set(names) - set(self.networks)):
                raise ValueError(f"{key}: {foreign[0]!r} is not extracted; {one_of(self.networks, foreign[0])}")
