"""A toy family of methods: one folder, two stages. A model is one colour, its reconstruction of every image."""

from typing import Annotated, Any

from pydantic import Field

from relume.core.config import config
from relume.core.references import Count, Dataset, Entry, Same, Split, TrainingSet
from relume.methods.family import Family, Section
from relume.training.config import Name


@config
class Toy:
    dataset: Annotated[TrainingSet, Same("train_toy.shared.dataset")]
    weight: float = Field(ge=0, le=1)  # of the mean colour; the rest is grey


@config
class TrainToy:
    shared: Toy
    models: dict[Name, dict[str, Any]]


@config
class InvertToy:
    dataset: Dataset
    split: Annotated[str, Split(held_out=True)]
    count: Annotated[int | None, Count()] = Field(ge=1)
    models: tuple[Annotated[str, Entry(("train_toy.models",))], ...]


FAMILY = Family(
    name="toy",
    kind="toy",
    checks=False,
    sections=(
        Section(key="train_toy", cls=TrainToy, names="models", entry=Toy, models=True),
        Section(key="invert_toy", cls=dict[Name, InvertToy], groups=True, methods=lambda name, group: group.models),
    ),
)
