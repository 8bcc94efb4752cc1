"""Sections `weights` and `extract`."""

from typing import Annotated

from pydantic import Field

from relume.core.config import config
from relume.core.errors import UserError, one_of
from relume.core.references import Dataset, Fetched, Once
from relume.networks.catalogue import check_network, check_weights


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
