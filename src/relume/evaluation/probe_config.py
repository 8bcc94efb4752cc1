"""Section `probe`: which masked models' features are held against classes, and how."""

from typing import Annotated

from pydantic import Field

from relume.core.config import config
from relume.core.references import Count, Dataset, Entry, Once

FLOORS = ("chance", "pixels")
SPLITS = ("train", "val", "test")


@config
class Probe:
    """Learned on split `train`, the penalty chosen on `val`, told on `test`. The first pictures of each; null: all of them."""

    dataset: Dataset
    models: Annotated[
        tuple[Annotated[str, Entry(("train_masked.models",))], ...], Once
    ]  # of `train_masked.models`; none: a table without rows
    train: Annotated[int | None, Count("train")] = Field(ge=1)
    val: Annotated[int | None, Count("val")] = Field(ge=1)
    test: Annotated[int | None, Count("test")] = Field(ge=1)
    penalties: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Once] = Field(
        min_length=1
    )  # on half the squared weights, by the mean loss
    neighbours: int = Field(ge=1)
    temperature: float = Field(gt=0)  # a neighbour counts exp(cosine / temperature)

    def __post_init__(self) -> None:
        if taken := [name for name in self.models if name in FLOORS]:
            raise ValueError(f"models: {taken[0]} is the name of a floor")
