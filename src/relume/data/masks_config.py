"""Which part of a picture is hidden, as the sections `train_masked` and `reconstruct_masked` say it."""

from typing import Literal

from pydantic import Field

from relume.core.config import config


@config
class Masks:
    """`random`: any cells; `block`: rectangles, as in BEiT; `grid`: as evenly spread as can be."""

    pattern: Literal["random", "block", "grid"]
    ratio: float = Field(gt=0, lt=1)  # share of the cells that is hidden
    cell: int = Field(ge=1)  # px
