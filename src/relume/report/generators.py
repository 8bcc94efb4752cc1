"""The page's section on generators: samples beside true pictures, ways between latents, distances beside floors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from relume.core.samples import Samples
from relume.report.columns import column, number, signed
from relume.report.lessons import Lesson, lesson
from relume.report.material import GAN, Material, Originals, Table, Trained
from relume.report.pictures import seen_uri, spread

SHOWN = 32  # samples, and half as many true pictures
FLOOR, REAL, WITHHELD = "floor", "real", "withheld"  # kinds of rows in sets.csv, beside GAN
LEARNED = "withheld pictures of what it learned from"
Bounds = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Distance:
    """A row of sets.csv."""

    cells: dict[str, str]
    floor: bool
    oracle: bool = False  # none has seen the held-out pictures

    @property
    def name(self) -> str:
        return self.cells["name"].removesuffix(f"@{WITHHELD}")

    @property
    def kid(self) -> float:
        value = number(self.cells["kid"])
        return float("inf") if value is None else value

    @property
    def interval(self) -> Bounds | None:
        lo, hi = number(self.cells["kid_lo"]), number(self.cells["kid_hi"])
        return None if lo is None or hi is None else (lo, hi)


@dataclass(frozen=True, kw_only=True)
class Made:
    """One generator: pictures as data URIs."""

    name: str
    size: int
    told: str  # how they were drawn
    text: str
    pictures: list[str]
    walks: list[list[str]]
    lesson: Lesson | None


@dataclass(frozen=True, kw_only=True)
class Studio:
    """Generators that learned from one dataset."""

    dataset: str
    size: int
    net: str
    true: list[str]
    made: list[Made]
    lines: list[Distance]  # to pictures of other sources; nearest first
    own: list[Distance]  # to withheld pictures of the sources that were learned from; may be none


def section(material: Material) -> list[Studio]:
    """Dataset by dataset."""
    names = dict.fromkeys(one.about.dataset for one in material.samples)
    return [_studio(material, name, [one for one in material.samples if one.about.dataset == name]) for name in names]


def _studio(material: Material, dataset: str, samples: Sequence[Samples]) -> Studio:
    rows = [row for row in material.sets if row["dataset"] == dataset]
    lines, own = _lines(rows, (GAN, FLOOR, REAL)), _lines(rows, (WITHHELD,))
    originals = material.originals[dataset]
    return Studio(
        dataset=dataset,
        size=samples[0].about.size,
        net="; ".join(dict.fromkeys(line.cells["net"] for line in lines)),
        true=_true(originals, SHOWN // 2),
        made=[_made(one, lines, own, material.trained.get(one.about.name)) for one in samples],
        lines=lines,
        own=own,
    )


def _lines(rows: Table, kinds: Sequence[str]) -> list[Distance]:
    """Nearest first."""
    found = [row for row in rows if row["kind"] in kinds]
    lines = [Distance(cells=row, floor=row["kind"] in (FLOOR, REAL) or row["name"].startswith(FLOOR)) for row in found]
    return sorted(lines, key=lambda line: line.kid)


def _true(originals: Originals, count: int) -> list[str]:
    """Pictures that no generator has learned from, where the dataset has such."""
    held_out = {id for id in originals.rows if originals.splits[id] != "train"} or set(originals.rows)
    return [seen_uri(originals.images[originals.rows[id]]) for id in spread(originals, held_out, count)]


def _made(samples: Samples, lines: Sequence[Distance], own: Sequence[Distance], trained: Trained | None) -> Made:
    about = samples.about
    drawn = "as they came" if about.truncation == 1 else f"drawn towards the mean by truncation {about.truncation:g}"
    return Made(
        name=about.name,
        size=about.size,
        told=f"the first of {about.n:,} drawn with seed {about.seed}, {drawn}; none was picked",
        text=" ".join([finding(about.name, lines), *([finding(about.name, own, LEARNED)] if own else [])]),
        pictures=[seen_uri(pixels) for pixels in samples.images[:SHOWN]],
        walks=[[seen_uri(pixels) for pixels in _thinned(row)] for row in samples.walk],
        lesson=None if trained is None else lesson(about.name, trained),
    )


def _thinned(row: np.ndarray, most: int = 12) -> np.ndarray:
    """At most so many pictures, both ends among them."""
    kept: np.ndarray = row[np.linspace(0, len(row) - 1, min(most, len(row))).round().astype(int)]
    return kept


def finding(name: str, lines: Sequence[Distance], to: str = "held-out pictures") -> str:
    """How far its samples lie from true pictures, and how that stands to the floors."""
    own = next(line for line in lines if line.name == name)
    floors = [line for line in lines if line.floor and line.cells["kind"] != REAL]
    text = f"{name}: KID {_kid(own)} to {to}, n = {own.cells['n']}."
    if not floors:
        return f"{text} No floor was measured beside it: nothing has been shown."
    return " ".join([text, *(f"{_against(own, floor)}." for floor in floors)])


def _against(own: Distance, floor: Distance) -> str:
    said = "nearer" if own.kid < floor.kid else "farther"
    if own.interval is None or floor.interval is None:
        sure = "no intervals, so nothing is claimed"
    else:
        apart = own.interval[1] < floor.interval[0] or floor.interval[1] < own.interval[0]
        sure = "the intervals do not meet" if apart else "the intervals overlap: undecided"
    return f"It is {said} than {floor.name}, {_kid(floor)}; {sure}"


def _kid(line: Distance) -> str:
    digits = column("kid").digits
    if line.interval is None:
        return signed(line.kid, digits)
    lo, hi = (signed(bound, digits) for bound in line.interval)
    return f"{signed(line.kid, digits)} ({lo} to {hi})"


def others(sets: Table, studios: Sequence[Studio]) -> Table:
    """Rows of sets.csv that stand in no table of this section; halves of true pictures stand beside all that is measured."""
    told = [line.cells for one in studios for line in [*one.lines, *one.own]]
    left = {row["dataset"] for row in sets if row not in told}
    return [row for row in sets if row not in told or (row["kind"] == REAL and row["dataset"] in left)]
