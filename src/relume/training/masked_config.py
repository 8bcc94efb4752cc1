"""Section `train_masked`."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from relume.core.config import build, config, entries, merge
from relume.data.masks_config import Masks
from relume.models.masked_config import MaskedArchitecture
from relume.training.config import Augment, Name, Training

MODELS = "models/masked"


@config
class SharedMasked:
    """What masked models have in common, unless one says otherwise."""

    dataset: str
    masks: Masks  # drawn anew at every step; the same for all models on validation pictures
    augment: Augment
    training: Training
    validation: int | None = Field(ge=1)  # the first pictures of the validation split; null: all of them


@config
class MaskedConfig(SharedMasked):
    """One masked model."""

    architecture: MaskedArchitecture
    tokenizer: str | None = None  # the folder of the trained tokenizer that BEiT is given; the images' or null: none

    @property
    def tokenized(self) -> bool:
        return (self.tokenizer or "").startswith(f"{MODELS}/")

    def __post_init__(self) -> None:
        if self.tokenized != (self.architecture.kind == "beit"):
            raise ValueError(f"tokenizer: {MODELS}/<name> for architecture beit, and for no other; got {self.tokenizer!r}")


@config
class TrainMasked:
    """Section `train_masked`. An entry of `models` states its architecture, and only what differs from `shared`."""

    shared: SharedMasked
    models: dict[Name, dict[str, Any]]


def masked_model(shared: Mapping[str, Any], own: Mapping[str, Any], path: str) -> MaskedConfig:
    """`shared` with a model's differences laid over it; `path` is the model's key."""
    return build(MaskedConfig, merge(shared, own), path)


def masked_models(section: Mapping[str, Any]) -> dict[str, MaskedConfig]:
    """All of a section `train_masked` given as plain data; every fault of every model is named."""
    build(TrainMasked, section, "train_masked")
    return entries(MaskedConfig, section, "train_masked")
