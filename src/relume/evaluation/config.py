"""Sections `floors`, `evaluate` and `compare`: what trivial predictors there are, what is measured, what is asked."""

from collections.abc import Collection, Sequence
from typing import Annotated

from pydantic import Field

from relume.core.config import config
from relume.core.errors import one_of
from relume.core.references import (
    GROUPS,
    METHODS,
    Count,
    Dataset,
    Entry,
    Fetched,
    HasTap,
    Lpips,
    NetworkTap,
    Same,
    Split,
    Tap,
)
from relume.evaluation.metrics import MASKED_METRICS, METRICS, Metric, clip_cosine, other_tap, reid, top1_agreement

OWN_MEAN = "floor_own_mean"  # the oracle floor that every method is held against
PATH_METRICS = ("psnr", "lpips_alex", "lpips_vgg")  # of the pictures on the way to a picture
PATHS = ("method", "task", "dataset", "size", "network", "tap", "step", "n", *PATH_METRICS)  # of metrics/paths/<group>.csv
Place = tuple[str, str]  # a network and one of its taps
TIMED_PATHS = (*PATHS[: PATHS.index("n")], "seconds", *PATHS[PATHS.index("n") :])  # of metrics/paths.csv: one picture's


def _known(key: str, metrics: tuple[str, ...], known: Collection[str] = METRICS) -> None:
    for name in metrics:
        if name not in known:
            raise ValueError(f"{key}: unknown metric {name!r}; {one_of(known, name)}")
    _each_once(key, metrics)


def _each_once(key: str, names: Sequence[object]) -> None:
    if len(set(names)) < len(names):
        raise ValueError(f"{key}: something stands there twice: {', '.join(map(str, names))}")


@config
class Floors:
    """Which pictures the floors predict: the very ones that methods are scored on."""

    dataset: Annotated[Dataset, Same("invert_optimise.dataset")]
    split: Annotated[str, Split()]
    count: Annotated[int | None, Count()] = Field(ge=1)  # the first pictures of the split; null: all of them
    blocks: tuple[Annotated[int, Field(ge=2)], ...]  # blocks per side: 8 is a picture of 8x8 colours

    def __post_init__(self) -> None:
        _each_once("blocks", self.blocks)

    @property
    def methods(self) -> list[str]:
        """The baselines' names in tables."""
        return ["floor_dataset_mean", "floor_mean_picture", OWN_MEAN, *(f"floor_blocks_{blocks}" for blocks in self.blocks)]


@config
class Sets:
    """Whose embeddings the Frechet distance and KID of pictures taken together are measured in."""

    network: Fetched
    tap: Annotated[str, Tap(pooled=True)]  # one value per channel: pool, or another without positions
    pixels: int | None = Field(default=None, ge=32)  # pictures are resized to it; null: as they are. Small ones look all alike


@config
class Reid:
    """Does a reconstruction find its original? Tables ask the first judge that the method has not seen."""

    networks: tuple[Annotated[Place, NetworkTap(("weights.networks",))], ...] = Field(min_length=1)
    candidates: int | None = Field(default=None, ge=2)  # the scored originals and the first others; null: all that are held out

    def __post_init__(self) -> None:
        _each_once("networks", [reid(*place).name for place in self.networks])


@config
class Evaluate:
    """What is measured; the columns of the others stay empty. Masked groups have their own metrics, and of these LPIPS."""

    metrics: tuple[Annotated[str, Lpips()], ...] = Field(min_length=1)
    paths: tuple[str, ...] = ()  # of these, what is measured after a method's steps, too
    sets: Sets | None = None  # of groups and of generators' samples; null: not measured
    reid: Reid | None = None
    other_taps: tuple[
        Annotated[Place, NetworkTap(("weights.networks", "extract.networks"))], ...
    ] = ()  # where feature errors are measured beside the inverted tap
    clip: Annotated[str | None, Entry(("weights.networks",)), HasTap("pool")] = None  # the network of clip_cosine
    classifier: Annotated[str | None, Entry(("weights.networks",)), HasTap("logits")] = (
        None  # whose classes are compared in top1_agreement
    )

    def __post_init__(self) -> None:
        _known("metrics", self.metrics)
        _known("paths", self.paths, [name for name in PATH_METRICS if name in self.metrics])
        _each_once("other_taps", [metric.name for metric, _ in self.views])

    @property
    def clip_place(self) -> list[Place]:
        return [(self.clip, "pool")] if self.clip else []

    @property
    def classifier_place(self) -> list[Place]:
        return [(self.classifier, "logits")] if self.classifier else []

    @property
    def views(self) -> tuple[tuple[Metric, Place], ...]:
        """The metrics of further networks, with where they look; those of `reid` come last, in the order of the judges."""
        return (
            *((other_tap(*place), place) for place in self.other_taps),
            *((clip_cosine(place[0]), place) for place in self.clip_place),
            *((top1_agreement(place[0]), place) for place in self.classifier_place),
            *((reid(*place), place) for place in (self.reid.networks if self.reid else ())),
        )


@config
class Question:
    """Is `a` better than `b` on the pictures that both have? `diff` is a - b. Masked methods meet at every ratio they share."""

    a: Annotated[str, Entry((METHODS,))]
    b: Annotated[str, Entry((METHODS,))]
    metrics: tuple[str, ...] = Field(min_length=1)

    def __post_init__(self) -> None:
        _known("metrics", self.metrics, [*METRICS, *MASKED_METRICS])


@config
class Compare:
    """`groups` are the folders of reconstructions that the tables are made of, no more and no fewer."""

    groups: tuple[Annotated[str, Entry((GROUPS,))], ...] = Field(min_length=1)
    metrics: tuple[str, ...]  # in which every method is held against the floors, masked ones apart
    questions: dict[str, Question]  # beyond those
    resamples: int = Field(ge=1000)  # of the bootstrap; fewer do not reach into the tails
    level: float = Field(gt=0.5, lt=1)  # of the intervals

    def __post_init__(self) -> None:
        _known("metrics", self.metrics)
        _each_once("groups", self.groups)
