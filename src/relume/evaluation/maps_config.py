"""Section `maps`: of which decoders, which feature maps are taken away, and how what is left is measured."""

from typing import Annotated, Literal

from pydantic import Field

from relume.core.config import config
from relume.core.errors import one_of
from relume.core.references import Count, Dataset, Entry, Lpips, Once, Split
from relume.evaluation.metrics import METRICS

Name = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
MEASURED = tuple(name for name in METRICS if name != "feature_error")  # maps are taken away: features are not to be met


@config
class Maps:
    """Channels are ranked on training pictures, their groups removed and kept on those of `split`."""

    dataset: Dataset
    split: Annotated[str, Split(held_out=True)]
    count: Annotated[int | None, Count()] = Field(ge=1)  # the first pictures of the split; null: all of them
    decoders: Annotated[
        tuple[Annotated[Name, Entry(("train_decoder.decoders",))], ...], Once
    ]  # of one tap each; none: empty tables
    rankings: Annotated[tuple[Literal["activation", "contribution"], ...], Once] = Field(min_length=1)
    groups: int = Field(ge=2, le=16)  # equal parts of a ranking, the strongest first
    fill: Literal["mean", "zero"]  # what a channel holds that is taken away: its mean over training pictures, or 0
    pictures: int = Field(ge=2)  # training pictures, at most, that means and rankings are taken over
    probes: int = Field(ge=1)  # random directions per picture in which contributions are measured
    metrics: Annotated[tuple[Annotated[str, Lpips()], ...], Once] = Field(min_length=1)
    shown: int = Field(ge=1, le=16)  # pictures on a sheet

    def __post_init__(self) -> None:
        for name in self.metrics:
            if name not in MEASURED:
                raise ValueError(f"metrics: unknown metric {name!r}; {one_of(MEASURED, name)}")
