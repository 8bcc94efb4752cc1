"""Section `score_samples`: how far what generators make is from true images, as a set."""

from typing import Annotated

from pydantic import Field

from relume.core.config import config
from relume.core.references import Entry, Once

SAMPLE_BASELINES = ("floor_train_", "floor_shuffled_patches_")  # what their names begin with; the dataset follows
OWN = "withheld"  # the kind of rows about these, and how their names end


@config
class ScoreSamples:
    """Measured by the network of `evaluate.sets`."""

    models: Annotated[tuple[Annotated[str, Entry(("train_gan.models",))], ...], Once]  # none: a table without rows
    split: str  # held-out pictures that training has not seen
    withheld: int = Field(ge=0)  # the last so many training pictures, which no generator learned from, are asked about too
    count: int = Field(ge=2)  # samples, and pictures of every baseline: Frechet distances compare at equal n only
    patches: int = Field(ge=2)  # per side, of the baseline that is made of shuffled ones

    def __post_init__(self) -> None:
        if self.withheld == 1:
            raise ValueError("withheld: a distance needs two pictures; 0 asks about none")
        if self.split == "train":
            raise ValueError("split: generators have learned from train: name another")
