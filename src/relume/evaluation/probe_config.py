"""Section `probe`: which masked models' features are held against classes, and how."""

from typing import Annotated

from pydantic import Field

from relume.core.config import config

FLOORS = ("chance", "pixels")
SPLITS = ("train", "val", "test")


@config
class Probe:
    """Learned on split `train`, the penalty chosen on `val`, told on `test`. The first pictures of each; null: all of them."""

    dataset: str
    models: tuple[str, ...]  # of `train_masked.models`; none: a table without rows
    train: int | None = Field(ge=1)
    val: int | None = Field(ge=1)
    test: int | None = Field(ge=1)
    penalties: tuple[Annotated[float, Field(gt=0)], ...] = Field(min_length=1)  # on half the squared weights, by the mean loss
    neighbours: int = Field(ge=1)
    temperature: float = Field(gt=0)  # a neighbour counts exp(cosine / temperature)

    def __post_init__(self) -> None:
        for key, values in (("models", self.models), ("penalties", self.penalties)):
            if len(set(values)) < len(values):
                raise ValueError(f"{key}: each once, got {list(values)}")
        if taken := [name for name in self.models if name in FLOORS]:
            raise ValueError(f"models: {taken[0]} is the name of a floor")
