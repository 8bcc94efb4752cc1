"""Sections `floors`, `evaluate`, `compare`, `self_test`, `maps`, `defend` and `probe`."""

from collections.abc import Collection, Sequence
from typing import Annotated, Literal

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
    Holds,
    Lpips,
    NetworkTap,
    Once,
    Same,
    Split,
    Tap,
)
from relume.evaluation.metrics import (
    CLIP,
    MASKED_METRICS,
    METRICS,
    REID,
    TOP1,
    TOP5,
    Metric,
    agreements,
    clip_cosine,
    other_tap,
    reid,
    reid_match,
)

OWN_MEAN = "floor_own_mean"  # the oracle baseline that every method is compared with
PATH_METRICS = ("psnr", "lpips_alex", "lpips_vgg")  # of the pictures on the way to a picture
PATHS = ("method", "task", "dataset", "size", "network", "tap", "step", "n", *PATH_METRICS)  # of metrics/paths/<group>.csv
Place = tuple[str, str]  # a network and one of its taps
TIMED_PATHS = (*PATHS[: PATHS.index("n")], "seconds", *PATHS[PATHS.index("n") :])  # of metrics/paths.csv: one picture's
Positive = Annotated[float, Field(gt=0)]
LADDERS = ("blur", "noise", "jpeg", "blocks")
MEASURED = tuple(name for name in METRICS if name != "feature_error")  # maps are taken away: features are not to be met
PROBE_BASELINES = ("chance", "pixels")
SPLITS = ("train", "val", "test")


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
    """Which pictures the baselines predict: the very ones that methods are scored on."""

    dataset: Annotated[Dataset, Same("invert_optimise.dataset")]
    split: Annotated[str, Split()]
    count: Annotated[int | None, Count()] = Field(ge=1)  # the first pictures of the split; null: all of them
    blocks: Annotated[tuple[Annotated[int, Field(ge=2)], ...], Once]  # blocks per side: 8 is a picture of 8x8 colours

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
    """Does a reconstruction find its original? Tables use the first metric network that the method has not used."""

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
    # where feature errors are measured beside the inverted tap
    other_taps: tuple[Annotated[Place, NetworkTap(("weights.networks", "extract.networks"))], ...] = ()
    clip: Annotated[str | None, Entry(("weights.networks",)), HasTap("pool")] = None  # the network of clip_cosine
    # whose classes are compared in top1_agreement and top5_agreement
    classifier: Annotated[str | None, Entry(("weights.networks",)), HasTap("logits")] = None

    def __post_init__(self) -> None:
        _known("metrics", self.metrics)
        _known("paths", self.paths, [name for name in PATH_METRICS if name in self.metrics])
        _each_once("other_taps", [metric.name for metric, _ in self.views])

    @property
    def views(self) -> list[tuple[Metric, Place]]:
        """The metrics of further networks and their taps; those of `reid` come last, in its order."""
        found = [(other_tap(*place), place) for place in self.other_taps]
        found += [(clip_cosine(self.clip), (self.clip, "pool"))] if self.clip else []
        found += [(one, (self.classifier, "logits")) for one in agreements(self.classifier)] if self.classifier else []
        networks = self.reid.networks if self.reid else ()
        return found + [(made(*place), place) for made in (reid, reid_match) for place in networks]


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

    groups: Annotated[tuple[Annotated[str, Entry((GROUPS,))], ...], Once] = Field(min_length=1)
    metrics: tuple[str, ...]  # in which every method is compared with the baselines, masked ones apart
    questions: dict[str, Question]  # beyond those
    resamples: int = Field(ge=1000)  # of the bootstrap; fewer do not reach into the tails
    level: float = Field(gt=0.5, lt=1)  # of the intervals

    def __post_init__(self) -> None:
        _known("metrics", self.metrics)


@config
class SelfTest:
    """On the pictures of section `floors`. Each ladder: at least two strengths, each stronger than the one before."""

    count: int | None = Field(ge=2)  # the first pictures; null: all that baselines predict
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
            if metric not in (*METRICS, CLIP, TOP1, TOP5) and not metric.startswith(("feature_error_", REID)):
                raise ValueError(f"exceptions: unknown metric {metric!r}; {one_of(METRICS, metric)}")
            for ladder in ladders:
                if ladder not in LADDERS:
                    raise ValueError(f"exceptions.{metric}: unknown ladder {ladder!r}; {one_of(LADDERS, ladder)}")


@config
class Maps:
    """Channels are ranked on training pictures, their groups removed and kept on those of `split`."""

    dataset: Dataset
    split: Annotated[str, Split(held_out=True)]
    count: Annotated[int | None, Count()] = Field(ge=1)  # the first pictures of the split; null: all of them
    decoders: Annotated[tuple[Annotated[str, Entry(("train_decoder.decoders",))], ...], Once]  # of one tap; none: empty tables
    rankings: Annotated[tuple[Literal["activation", "contribution"], ...], Once] = Field(min_length=1)
    groups: int = Field(ge=2, le=16)  # equal parts of a ranking, the strongest first
    fill: Literal["mean", "zero"]  # what a channel holds that is taken away: its mean over training pictures, or 0
    pictures: int = Field(ge=2)  # training pictures, at most, that means and rankings are taken over
    probes: int = Field(ge=1)  # random directions per picture in which contributions are measured
    metrics: Annotated[tuple[Annotated[str, Lpips()], ...], Once] = Field(min_length=1)
    shown: int = Field(ge=1, le=16)  # pictures on a sheet

    def __post_init__(self) -> None:
        _known("metrics", self.metrics, MEASURED)


@config
class Defend:
    """Stored features are defended, attacked and used: pictures of `split` are attacked, all held-out ones are looked through."""

    dataset: Annotated[Dataset, Holds(("train",))]
    split: Annotated[str, Split(held_out=True)]
    count: Annotated[int | None, Count()] = Field(ge=1)  # the first pictures of the split; null: all of them
    # what is stored; none: a table without rows. A decoder of this very tap makes pictures of it
    embeddings: Annotated[tuple[Annotated[Place, NetworkTap(("weights.networks",))], ...], Once]
    noise: Annotated[tuple[Positive, ...], Once]  # standard deviations of the noise, in those of a feature
    bits: Annotated[tuple[Annotated[int, Field(ge=1, le=16)], ...], Once]  # that a number is stored with
    pictures: int = Field(ge=2)  # training pictures, at most, that these deviations are taken over


@config
class Probe:
    """Learned on split `train`, the penalty chosen on `val`, told on `test`. The first pictures of each; null: all of them."""

    dataset: Dataset
    models: Annotated[tuple[Annotated[str, Entry(("train_masked.models",))], ...], Once]  # none: a table without rows
    train: Annotated[int | None, Count("train")] = Field(ge=1)
    val: Annotated[int | None, Count("val")] = Field(ge=1)
    test: Annotated[int | None, Count("test")] = Field(ge=1)
    # on half the squared weights, by the mean loss
    penalties: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Once] = Field(min_length=1)
    neighbours: int = Field(ge=1)
    temperature: float = Field(gt=0)  # a neighbour counts exp(cosine / temperature)

    def __post_init__(self) -> None:
        if taken := [name for name in self.models if name in PROBE_BASELINES]:
            raise ValueError(f"models: {taken[0]} is the name of a baseline")
