"""The page's section on pictures that were hidden in part: numbers beside floors, and panels."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from relume.core.results import pasted, visible
from relume.report.charts import Forest, forest
from relume.report.columns import Column, column, number, signed
from relume.report.fillings import Cells, Filling, Share, percent, share_of
from relume.report.material import Material, Originals
from relume.report.pictures import data_uri, spread
from relume.report.walks import Walk, walks

COLUMNS = [
    column(name)
    for name in (
        *("method", "parameters", "psnr_masked", "psnr_pasted", "ssim_pasted", "lpips_alex", "fd"),
        *("probe_top1", "knn_top1", "seconds_per_image", "n"),
    )
]
TOLD = [column(name) for name in ("fd_net", "device")]  # columns only where their rows differ


@dataclass(frozen=True, kw_only=True)
class Filler:
    """A row of masked.csv with its numbers."""

    cells: Cells
    floor: bool
    oracle: bool = False  # none has seen what is hidden

    @property
    def method(self) -> str:
        return self.cells["method"]

    @property
    def psnr(self) -> float:
        value = number(self.cells["psnr_masked"])
        return float("-inf") if value is None else value

    @property
    def interval(self) -> tuple[float, float] | None:
        lo, hi = number(self.cells["psnr_masked_lo"]), number(self.cells["psnr_masked_hi"])
        return None if lo is None or hi is None else (lo, hi)


@dataclass(frozen=True, kw_only=True)
class Filled:
    """One method's picture: what it predicts, and that pasted into what is visible."""

    method: str
    floor: bool
    predicted: str
    pasted: str
    psnr: float | None


@dataclass(frozen=True, kw_only=True)
class Case:
    """One picture and what every method made of it."""

    id: str
    source: str
    original: str
    visible: str
    filled: list[Filled]


@dataclass(frozen=True, kw_only=True)
class Hole:
    """A group at one share of hidden pixels: only within it are methods ranked."""

    id: str
    title: str
    hidden: str  # the share, in words
    hides: str  # how masks are made
    size: int
    lines: list[Filler]  # best first, floors among them
    text: str = ""
    cases: list[Case] = field(default_factory=list)

    @property
    def models(self) -> list[Filler]:
        return [line for line in self.lines if not line.floor]

    @property
    def blind(self) -> Filler | None:
        """The best floor."""
        return next((line for line in self.lines if line.floor), None)

    @property
    def top(self) -> Filler:
        return (self.models or self.lines)[0]

    @property
    def forest(self) -> Forest:
        return forest(self)

    @property
    def columns(self) -> list[Column]:
        told = [one for one in TOLD if len(self._values(one)) > 1]
        return [one for one in COLUMNS if not one.optional or self._values(one)] + told

    @property
    def told(self) -> list[tuple[str, str]]:
        """What is the same in all rows, and so is no column."""
        return [(one.title, value) for one in TOLD if len(self._values(one)) == 1 for value in self._values(one)]

    def _values(self, one: Column) -> set[str]:
        return {line.cells[one.name] for line in self.lines} - {""}

    def best(self, one: Column) -> Filler | None:
        """Of the models."""
        sign = 1 if one.better == "higher" else -1
        ranked = [(sign * value, line) for line in self.models if (value := number(line.cells[one.name])) is not None]
        return max(ranked, key=lambda pair: pair[0])[1] if ranked and one.better else None


@dataclass(frozen=True, kw_only=True)
class Masked:
    holes: list[Hole]
    walks: list[Walk]

    @property
    def headline(self) -> str:
        """The page's first sentence where nothing else was measured."""
        hole = self.holes[0]
        return f"With {hole.hidden} of a picture hidden, {hole.top.method} fills it at {_db(hole.top)}{_above(hole, hole.top)}"


def section(material: Material, count: int, level: float) -> Masked | None:
    """None where no group was masked. `count`: pictures shown of each share."""
    if not material.fillings:
        return None
    table = {share_of(row): row for row in material.masked}
    holes = [hole for one in material.fillings for hole in _holes(material, one, table, count, level)]
    return Masked(holes=holes, walks=[walk for one in material.fillings for walk in walks(one, material.originals)])


def _holes(material: Material, one: Filling, table: dict[Share, Cells], count: int, level: float) -> list[Hole]:
    kinds = dict.fromkeys(share[1:] for share in one.rows)
    return [_hole(material, one, [share for share in one.rows if share[1:] == kind], table, count, level) for kind in kinds]


def _hole(material: Material, one: Filling, shares: Sequence[Share], table: dict[Share, Cells], count: int, level: float) -> Hole:
    _, dataset, size, ratio = shares[0]
    lines = [Filler(cells=table[share], floor=share[0] in one.floors) for share in shares]
    hidden = percent(ratio)
    of = f", {one.group.name}" if len(material.fillings) > 1 else ""
    bare = Hole(
        id=f"{one.group.name}-{ratio}",
        title=f"{dataset} at {size} px, {hidden} hidden{of}",
        hidden=hidden,
        hides=one.hides,
        size=int(size),
        lines=sorted(lines, key=lambda line: -line.psnr),
    )
    shown = {line.method for line in (*bare.models, *filter(None, [bare.blind]))}
    cases = _cases(one, [share for share in shares if share[0] in shown], material.originals[dataset], count)
    return Hole(**{**vars(bare), "text": finding(bare, level), "cases": cases})


def _cases(one: Filling, shares: Sequence[Share], originals: Originals, count: int) -> list[Case]:
    return [_case(one, shares, originals, id) for id in spread(originals, one.rows[shares[0]], count)]


def _case(one: Filling, shares: Sequence[Share], originals: Originals, id: str) -> Case:
    truth = originals.images[originals.rows[id]]
    filled = []
    for share in shares:
        row = one.rows[share][id]
        predicted, hidden = one.group.images[row], one.masks[row]
        filled.append(
            Filled(
                method=share[0],
                floor=share[0] in one.floors,
                predicted=data_uri(predicted),
                pasted=data_uri(pasted(truth, predicted, hidden)),
                psnr=one.psnr.get(share, {}).get(id),
            )
        )
    seen = visible(truth, one.masks[one.rows[shares[0]][id]])
    return Case(id=id, source=originals.sources[id], original=data_uri(truth), visible=data_uri(seen), filled=filled)


def finding(hole: Hole, level: float) -> str:
    """How far the best model gets, held against the best floor; which models do not reach that floor."""
    line = hole.top
    text = f"{line.method} reaches {_db(line)} over hidden pixels{_interval(line, level)}{_above(hole, line)}."
    floor = hole.blind
    if floor is None:
        return f"{text} No floor was computed on these pictures: nothing has been shown."
    below = [other.method for other in hole.models if other is not line and other.psnr <= floor.psnr]
    either = " either" if line.psnr <= floor.psnr else ""
    return f"{text} Not above that floor{either}: {', '.join(below)}." if below else text


def _interval(line: Filler, level: float) -> str:
    if line.interval is None:
        return f" (n = {line.cells['n']})"
    lo, hi = line.interval
    return f" ({level:.0%} interval {signed(lo, 2)} to {signed(hi, 2)} dB, n = {line.cells['n']})"


def _above(hole: Hole, line: Filler) -> str:
    if hole.blind is None or hole.blind is line:
        return ""
    gain = line.psnr - hole.blind.psnr
    side = "above" if gain >= 0 else "below"
    return f", {signed(abs(gain), 2)} dB {side} the best floor, {hole.blind.method} ({_db(hole.blind)})"


def _db(line: Filler) -> str:
    return f"{signed(line.psnr, 2)} dB"
