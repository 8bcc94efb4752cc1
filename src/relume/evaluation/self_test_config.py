"""Section `self_test`: ladders of known degradations, from weak to strong, that every metric is to put in order."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from relume.core.config import config
from relume.core.errors import one_of
from relume.evaluation.metrics import CLIP, METRICS, REID, TOP1

Positive = Annotated[float, Field(gt=0)]
LADDERS = ("blur", "noise", "jpeg", "blocks")


@config
class SelfTest:
    """On the pictures of section `floors`. Each ladder: at least two strengths, each stronger than the one before."""

    count: int | None = Field(ge=2)  # the first pictures; null: all that floors predict
    blur: tuple[Positive, ...] = Field(min_length=2)  # standard deviation of a Gaussian, pixels
    noise: tuple[Positive, ...] = Field(min_length=2)  # standard deviation of Gaussian noise; pictures are in [0, 1]
    jpeg: tuple[Annotated[int, Field(ge=1, le=100)], ...] = Field(min_length=2)  # quality, falling
    blocks: tuple[Annotated[int, Field(ge=2)], ...] = Field(min_length=2)  # pixels per side of a block of one colour
    exceptions: dict[str, tuple[str, ...]] = Field(default_factory=dict)  # metric -> ladders that it need not put in order

    def __post_init__(self) -> None:
        for name in LADDERS:
            strengths: Sequence[float] = getattr(self, name)
            wanted = sorted(set(strengths), reverse=name == "jpeg")
            if list(strengths) != wanted:
                raise ValueError(f"{name}: from weak to strong, {wanted}, is wanted; got {list(strengths)}")
        for metric, ladders in self.exceptions.items():
            if metric not in (*METRICS, CLIP, TOP1) and not metric.startswith(("feature_error_", REID)):
                raise ValueError(f"exceptions: unknown metric {metric!r}; {one_of(METRICS, metric)}")
            for ladder in ladders:
                if ladder not in LADDERS:
                    raise ValueError(f"exceptions.{metric}: unknown ladder {ladder!r}; {one_of(LADDERS, ladder)}")
