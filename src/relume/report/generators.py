"""The section on generators: samples beside real images, latent interpolations, distances beside baselines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from relume.core.samples import Samples
from relume.report.columns import column, signed
from relume.report.data import GAN, Originals, ReportData, Table, Trained
from relume.report.images import lossy_uri, spread
from relume.report.leaderboards import Score
from relume.report.training import Training, training

SHOWN = 32  # samples, and half as many real images
BASELINE, REAL, WITHHELD = "floor", "real", "withheld"  # kinds of rows in sets.csv, beside GAN


@dataclass(frozen=True, kw_only=True)
class Distance(Score):
    """A row of sets.csv."""

    METRIC: ClassVar[str] = "kid"
    MISSING: ClassVar[float] = float("inf")

    @property
    def name(self) -> str:
        return self.cells["name"].removesuffix(f"@{WITHHELD}")


@dataclass(frozen=True, kw_only=True)
class GeneratorImages:
    """One generator: images as data URIs."""

    name: str
    size: int
    sampling: str  # how the samples were drawn
    text: str
    samples: list[str]
    interpolations: list[list[str]]
    training: Training | None


@dataclass(frozen=True, kw_only=True)
class GeneratorSection:
    """Generators that were trained on one dataset."""

    dataset: str
    size: int
    net: str
    real: list[str]
    generators: list[GeneratorImages]
    held_out: list[Distance]  # to images of other sources; smallest first
    withheld: list[Distance]  # to withheld images of the training sources; may be empty


def section(data: ReportData) -> list[GeneratorSection]:
    """One per dataset."""
    names = dict.fromkeys(one.about.dataset for one in data.samples)
    return [_section(data, name, [one for one in data.samples if one.about.dataset == name]) for name in names]


def _section(data: ReportData, dataset: str, samples: Sequence[Samples]) -> GeneratorSection:
    rows = [row for row in data.sets if row["dataset"] == dataset]
    held_out, withheld = _distances(rows, (GAN, BASELINE, REAL)), _distances(rows, (WITHHELD,))
    return GeneratorSection(
        dataset=dataset,
        size=samples[0].about.size,
        net="; ".join(dict.fromkeys(row.cells["net"] for row in held_out)),
        real=_real(data.originals[dataset], SHOWN // 2),
        generators=[_generator(one, held_out, withheld, data.trained.get(one.about.name)) for one in samples],
        held_out=held_out,
        withheld=withheld,
    )


def _distances(rows: Table, kinds: Sequence[str]) -> list[Distance]:
    """Smallest first."""
    found = [row for row in rows if row["kind"] in kinds]
    scores = [Distance(cells=row, baseline=row["kind"] in (BASELINE, REAL) or row["name"].startswith(BASELINE)) for row in found]
    return sorted(scores, key=lambda row: row.score)


def _real(originals: Originals, count: int) -> list[str]:
    """Images that no generator was trained on, where the dataset has such."""
    held_out = {id for id in originals.rows if originals.splits[id] != "train"} or set(originals.rows)
    return [lossy_uri(originals.image(id)) for id in spread(originals, held_out, count)]


def _generator(
    samples: Samples, held_out: Sequence[Distance], withheld: Sequence[Distance], trained: Trained | None
) -> GeneratorImages:
    about = samples.about
    truncation = "without truncation" if about.truncation == 1 else f"with truncation {about.truncation:g}"
    texts = [finding(about.name, held_out), *([finding(about.name, withheld, "withheld training images")] if withheld else [])]
    return GeneratorImages(
        name=about.name,
        size=about.size,
        sampling=f"the first of {about.n:,} drawn with seed {about.seed}, {truncation}; none was selected",
        text=" ".join(texts),
        samples=[lossy_uri(pixels) for pixels in samples.images[:SHOWN]],
        interpolations=[[lossy_uri(pixels) for pixels in _thinned(row)] for row in samples.walk],
        training=None if trained is None else training(about.name, trained),
    )


def _thinned(row: np.ndarray, most: int = 12) -> np.ndarray:
    """At most `most` images, both ends among them."""
    kept: np.ndarray = row[np.linspace(0, len(row) - 1, min(most, len(row))).round().astype(int)]
    return kept


def finding(name: str, distances: Sequence[Distance], to: str = "held-out images") -> str:
    """The distance of its samples to real images, beside the baselines."""
    own = next(row for row in distances if row.name == name)
    baselines = [row for row in distances if row.baseline and row.cells["kind"] != REAL]
    text = f"{name}: KID {_kid(own)} to {to}, n = {own.cells['n']}."
    if not baselines:
        return f"{text} No baseline was measured, so there is no evidence."
    return " ".join([text, *(f"{_against(own, row)}." for row in baselines)])


def _against(own: Distance, baseline: Distance) -> str:
    nearer = "nearer" if own.score < baseline.score else "farther"
    if own.interval is None or baseline.interval is None:
        meaning = "no intervals, so undecided"
    else:
        apart = own.interval[1] < baseline.interval[0] or baseline.interval[1] < own.interval[0]
        meaning = "the intervals do not overlap" if apart else "the intervals overlap: undecided"
    return f"It is {nearer} than {baseline.name}, {_kid(baseline)}; {meaning}"


def _kid(row: Distance) -> str:
    return f"{signed(row.score, column('kid').digits)}{f' ({row.interval_text})' if row.interval else ''}"


def others(sets: Table, sections: Sequence[GeneratorSection]) -> Table:
    """Rows of sets.csv that are in no table of this section. The halves of real images go with whatever is left."""
    shown = [row.cells for one in sections for row in [*one.held_out, *one.withheld]]
    left = {row["dataset"] for row in sets if row not in shown}
    return [row for row in sets if row not in shown or (row["kind"] == REAL and row["dataset"] in left)]
