"""Section `reconstruct_masked`."""

from typing import Annotated, Literal

from pydantic import Field

from relume.core.config import config
from relume.training.config import Name


@config
class ReconstructMasked:
    """One entry of section `reconstruct_masked`: a group, with a method for each of its models, and for each floor."""

    dataset: str
    split: str
    count: int | None = Field(ge=1)  # the first pictures of the split; null: all of them
    pattern: Literal["random", "block", "grid"]  # of masks
    ratios: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(min_length=1)  # shares of the cells that are hidden
    cell: int = Field(ge=1)  # px; the models have learned with cells of this size
    models: tuple[str, ...]  # of `train_masked.models`

    def __post_init__(self) -> None:
        for key, values in (("ratios", self.ratios), ("models", self.models)):
            if len(set(values)) < len(values):
                raise ValueError(f"{key}: each once, got {list(values)}")


MaskedGroups = dict[Name, ReconstructMasked]  # the section
