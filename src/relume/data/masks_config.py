"""The masks of the sections `train_masked` and `reconstruct_masked`."""

from typing import Literal

from pydantic import Field

from relume.core.config import config


@config
class Masks:
    """`random`: any cells; `block`: rectangles, as in BEiT; `grid`: evenly spread."""

    pattern: Literal["random", "block", "grid"]
    ratio: float = Field(gt=0, lt=1)  # fraction of hidden cells
    cell: int = Field(ge=1)  # px
