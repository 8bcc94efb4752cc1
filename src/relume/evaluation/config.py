"""Sections `floors`, `evaluate`, `compare`, `self_test`, `maps`, `defend`, `probe` and `score_samples`."""

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
    Split,
    Tap,
    TheDataset,
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
PATH_METRICS = ("psnr", "lpips_alex", "lpips_vgg")  # of intermediate images
PATHS = ("method", "task", "dataset", "size", "network", "tap", "step", "n", *PATH_METRICS)  # of metrics/paths/<group>.csv
Place = tuple[str, str]  # a network and one of its taps
TIMED_PATHS = (*PATHS[: PATHS.index("n")], "seconds", *PATHS[PATHS.index("n") :])  # of metrics/paths.csv: seconds per image
Positive = Annotated[float, Field(gt=0)]
LADDERS = ("blur", "noise", "jpeg", "blocks")
MEASURED = tuple(name for name in METRICS if name != "feature_error")  # with removed maps, features cannot match
PROBE_BASELINES = ("chance", "pixels")
SPLITS = ("train", "val", "test")
SAMPLE_BASELINES = ("floor_train_", "floor_shuffled_patches_")  # prefixes of their names, followed by the dataset
OWN = "withheld"  # the kind of rows about withheld images, and the suffix of their names


def _known(key: str, names: Sequence[str], known: Collection[str] = METRICS, what: str = "metric") -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{key}: unknown {what} {name!r}; {one_of(known, name)}")


@config
class Floors:
    """The images of the baselines, which must be those of the methods."""

    dataset: TheDataset
    split: Annotated[str, Split()]
    count: Annotated[int | None, Count()] = Field(ge=1)  # the first images of the split; null: all
    blocks: Annotated[tuple[Annotated[int, Field(ge=2)], ...], Once]  # blocks per side: 8 is an image of 8x8 colours

    @property
    def methods(self) -> list[str]:
        """The baselines' names in tables."""
        return ["floor_dataset_mean", "floor_mean_picture", OWN_MEAN, *(f"floor_blocks_{blocks}" for blocks in self.blocks)]


@config
class Sets:
    """The embedding for the Frechet distance and KID of sets of images."""

    network: Fetched
    tap: Annotated[str, Tap(pooled=True)]  # a tap without positions, such as pool
    pixels: int | None = Field(default=None, ge=32)  # images are resized to it; null: not resized


@config
class Reid:
    """Re-identification of the original. Tables use the first of these networks that the method has not used."""

    networks: Annotated[tuple[Annotated[Place, NetworkTap(("weights.networks",))], ...], Once] = Field(min_length=1)
    # the scored originals and further images; null: all outside the training split
    candidates: int | None = Field(default=None, ge=2)


@config
class Evaluate:
    """The metrics; columns of others stay empty. Masked groups have their own metrics, and LPIPS if listed here."""

    metrics: Annotated[tuple[Annotated[str, Lpips()], ...], Once] = Field(min_length=1)
    paths: Annotated[tuple[str, ...], Once] = ()  # those of `metrics` that are also computed for intermediate images
    sets: Sets | None = None  # of groups and of generators' samples; null: not computed
    reid: Reid | None = None
    # further taps for feature errors
    other_taps: tuple[Annotated[Place, NetworkTap(("weights.networks", "extract.networks"))], ...] = ()
    clip: Annotated[str | None, Entry(("weights.networks",)), HasTap("pool")] = None  # the network of clip_cosine
    # the network of top1_agreement and top5_agreement
    classifier: Annotated[str | None, Entry(("weights.networks",)), HasTap("logits")] = None

    def __post_init__(self) -> None:
        _known("metrics", self.metrics)
        _known("paths", self.paths, [name for name in PATH_METRICS if name in self.metrics])
        names = [metric.name for metric, _ in self.views]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"reid.networks, other_taps: duplicate columns: {', '.join(twice)}")

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
    """Is `a` better than `b` on their common images? `diff` is a - b. Masked methods are compared at every common ratio."""

    a: Annotated[str, Entry((METHODS,))]
    b: Annotated[str, Entry((METHODS,))]
    metrics: Annotated[tuple[str, ...], Once] = Field(min_length=1)

    def __post_init__(self) -> None:
        _known("metrics", self.metrics, [*METRICS, *MASKED_METRICS])


@config
class Compare:
    """`groups`: the folders of reconstructions for the tables; exactly these must exist."""

    groups: Annotated[tuple[Annotated[str, Entry((GROUPS,))], ...], Once] = Field(min_length=1)
    metrics: Annotated[tuple[str, ...], Once]  # for comparisons with the baselines, except masked methods
    questions: dict[str, Question]  # further comparisons
    resamples: int = Field(ge=1000)  # of the bootstrap
    level: float = Field(gt=0.5, lt=1)  # of the intervals

    def __post_init__(self) -> None:
        _known("metrics", self.metrics)


@config
class SelfTest:
    """On the images of section `floors`. Each degradation needs at least two strengths, from weak to strong."""

    count: int | None = Field(ge=2)  # the first images; null: all of the baselines
    blur: tuple[Positive, ...] = Field(min_length=2)  # standard deviation of a Gaussian, pixels
    noise: tuple[Positive, ...] = Field(min_length=2)  # standard deviation of Gaussian noise, for images in [0, 1]
    jpeg: tuple[Annotated[int, Field(ge=1, le=100)], ...] = Field(min_length=2)  # quality, decreasing
    blocks: tuple[Annotated[int, Field(ge=2)], ...] = Field(min_length=2)  # pixels per side of a block of one colour
    exceptions: dict[str, tuple[str, ...]] = Field(default_factory=dict)  # metric -> degradations that it need not order

    def __post_init__(self) -> None:
        for name in LADDERS:
            strengths: Sequence[float] = getattr(self, name)
            wanted = sorted(set(strengths), reverse=name == "jpeg")
            if list(strengths) != wanted:
                raise ValueError(f"{name}: must be ordered from weak to strong, {wanted}; got {list(strengths)}")
        for metric, ladders in self.exceptions.items():
            if metric not in (*METRICS, CLIP, TOP1, TOP5) and not metric.startswith(("feature_error_", REID)):
                raise ValueError(f"exceptions: unknown metric {metric!r}; {one_of(METRICS, metric)}")
            _known(f"exceptions.{metric}", ladders, LADDERS, "ladder")


@config
class Maps:
    """Channels are ranked on training images; their groups are removed and kept on images of `split`."""

    dataset: TheDataset
    split: Annotated[str, Split(held_out=True)]
    count: Annotated[int | None, Count()] = Field(ge=1)  # the first images of the split; null: all
    decoders: Annotated[
        tuple[Annotated[str, Entry(("train_decoder.decoders", "models/pretrained"))], ...], Once
    ]  # of one tap; none: empty tables
    rankings: Annotated[tuple[Literal["activation", "contribution"], ...], Once] = Field(min_length=1)
    groups: int = Field(ge=2, le=16)  # equal parts of a ranking, strongest first
    fill: Literal["mean", "zero"]  # value of a removed channel: its mean over training images, or 0
    pictures: int = Field(ge=2)  # training images for means and rankings, at most
    probes: int = Field(ge=1)  # random directions per image for contributions
    metrics: Annotated[tuple[Annotated[str, Lpips()], ...], Once] = Field(min_length=1)
    shown: int = Field(ge=1, le=16)  # images on a sheet

    def __post_init__(self) -> None:
        _known("metrics", self.metrics, MEASURED)


@config
class Defend:
    """Defences of stored features. Images of `split` are attacked; all held-out images are candidates."""

    dataset: Annotated[TheDataset, Holds(("train",))]
    split: Annotated[str, Split(held_out=True)]
    count: Annotated[int | None, Count()] = Field(ge=1)  # the first pictures of the split; null: all of them
    # network and tap of the stored features; empty: a table without rows. A decoder of the same tap makes images
    embeddings: Annotated[tuple[Annotated[Place, NetworkTap(("weights.networks",))], ...], Once]
    noise: Annotated[tuple[Positive, ...], Once]  # standard deviation, in units of that of a feature
    bits: Annotated[tuple[Annotated[int, Field(ge=1, le=16)], ...], Once]  # per stored number
    pictures: int = Field(ge=2)  # training images, at most, for the standard deviations


@config
class Probe:
    """Trained on split `train`, penalty selected on `val`, scored on `test`: the first images of each; null: all."""

    dataset: Dataset
    models: Annotated[tuple[Annotated[str, Entry(("train_masked.models",))], ...], Once]  # none: a table without rows
    train: Annotated[int | None, Count("train")] = Field(ge=1)
    val: Annotated[int | None, Count("val")] = Field(ge=1)
    test: Annotated[int | None, Count("test")] = Field(ge=1)
    penalties: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Once] = Field(min_length=1)  # factors of ||W||^2 / 2
    neighbours: int = Field(ge=1)
    temperature: float = Field(gt=0)  # weight of a neighbour: exp(cosine / temperature)

    def __post_init__(self) -> None:
        if taken := [name for name in self.models if name in PROBE_BASELINES]:
            raise ValueError(f"models: {taken[0]} is the name of a baseline")


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
