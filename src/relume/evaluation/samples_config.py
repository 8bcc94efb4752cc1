"""Section `score_samples`: set distances between samples and real images."""

from typing import Annotated

from pydantic import Field

from relume.core.config import config
from relume.core.references import Entry, Once

SAMPLE_BASELINES = ("floor_train_", "floor_shuffled_patches_")  # prefixes of their names, followed by the dataset
OWN = "withheld"  # the kind of rows about withheld images, and the suffix of their names


@config
class ScoreSamples:
    """By the network of `evaluate.sets`."""

    models: Annotated[tuple[Annotated[str, Entry(("train_gan.models",))], ...], Once]  # none: a table without rows
    split: str  # held-out images
    withheld: int = Field(ge=0)  # number of last training images that no generator was trained on; 0: no such rows
    count: int = Field(ge=2)  # samples, and images per baseline: Frechet distances are comparable at equal n only
    patches: int = Field(ge=2)  # per side, of the baseline with shuffled patches

    def __post_init__(self) -> None:
        if self.withheld == 1:
            raise ValueError("withheld: must be 0 or at least 2, got 1")
        if self.split == "train":
            raise ValueError("split: generators were trained on train; allowed: test, val")
