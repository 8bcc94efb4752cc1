"""The leaderboard, split by task, dataset and size. Methods are ranked within one split only; its baselines are part of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from relume.report.columns import LEADERBOARD, Column, circular, column, number
from relume.report.data import Key, Table, key_of

SHARED = ("network", "reid_net", "reid_n", "fd_net", "device")  # columns only where their rows differ
HIDDEN = ("family", "task", "oracle", "dataset", "size", "psnr_lo", "psnr_hi")  # shown in other cells, or in the title
TASKS = {"feature": "Inverted features", "image": "Inverted images (GAN inversion: the target is the image itself)"}


@dataclass(frozen=True, kw_only=True)
class Score:
    """A row of a table, ranked by one metric."""

    METRIC: ClassVar[str] = "psnr"
    MISSING: ClassVar[float] = float("-inf")
    cells: dict[str, str]
    baseline: bool
    oracle: bool = False

    @property
    def method(self) -> str:
        return self.cells["method"]

    @property
    def score(self) -> float:
        value = number(self.cells[self.METRIC])
        return self.MISSING if value is None else value

    @property
    def interval(self) -> tuple[float, float] | None:
        lo, hi = (number(self.cells[f"{self.METRIC}_{end}"]) for end in ("lo", "hi"))
        return None if lo is None or hi is None else (lo, hi)

    @property
    def score_text(self) -> str:
        return column(self.METRIC).show(self.cells[self.METRIC])

    @property
    def interval_text(self) -> str:
        return column(self.METRIC).interval(self.cells)

    @property
    def place(self) -> str:
        """What was inverted: a tap of a network. Empty where nothing was."""
        return " of ".join(filter(None, (self.cells.get("tap"), self.cells.get("network"))))


S = TypeVar("S", bound=Score)


@dataclass(frozen=True, kw_only=True)
class Ranking(Generic[S]):
    """Scores on the same images."""

    SHARED: ClassVar[Sequence[str]] = ()
    rows: list[S]  # best first

    @property
    def methods(self) -> list[S]:
        return [row for row in self.rows if not row.baseline]

    @property
    def baselines(self) -> list[S]:
        return [row for row in self.rows if row.baseline]

    @property
    def no_information(self) -> S | None:
        """The best baseline that has not seen the image."""
        return next((row for row in self.baselines if not row.oracle), None)

    @property
    def known_columns(self) -> Sequence[Column]:
        raise NotImplementedError

    @property
    def columns(self) -> list[Column]:
        return [one for one in self.known_columns if not one.optional or len(self._values(one)) > (one.name in self.SHARED)]

    @property
    def shared(self) -> list[tuple[str, str]]:
        """Title and value of what is the same in all rows and therefore no column."""
        values = [(one.title, self._values(one)) for one in self.known_columns if one.name in self.SHARED]
        return [(title, next(iter(found))) for title, found in values if len(found) == 1]

    def _values(self, one: Column) -> set[str]:
        return {row.cells[one.name] for row in self.rows} - {""}

    def best_by(self, one: Column) -> S | None:
        """The best method that saw only features. A circular metric has no best method."""
        sign = 1 if one.better == "higher" else -1
        fair = [row for row in self.methods if not row.oracle and not circular(one, row.cells.get("network", ""))]
        ranked = [(sign * value, row) for row in fair if (value := number(row.cells.get(one.name, ""))) is not None]
        return max(ranked, key=lambda pair: pair[0])[1] if ranked and one.better else None


@dataclass(frozen=True, kw_only=True)
class Result(Score):
    """A row of the leaderboard."""

    key: Key

    @property
    def name(self) -> str:
        """Unique within a leaderboard."""
        network, tap = self.cells["network"], self.cells["tap"]
        return "@".join(filter(None, (self.method, f"{network}.{tap}" if tap else network)))


@dataclass(frozen=True, kw_only=True)
class Leaderboard(Ranking[Result]):
    SHARED: ClassVar[Sequence[str]] = SHARED
    task: str
    dataset: str
    size: str
    families: tuple[str, ...] = ()  # of the whole table, so that a family has one colour in all charts

    @property
    def id(self) -> str:
        return "-".join((self.task, self.dataset, self.size))

    @property
    def title(self) -> str:
        return f"{TASKS.get(self.task, self.task)}, {self.dataset} at {self.size} px"

    @property
    def known_columns(self) -> Sequence[Column]:
        """The known columns; further ones of the table follow the metrics."""
        further = [column(name) for name in self.rows[0].cells if name not in HIDDEN and column(name) not in LEADERBOARD]
        at = [one.name for one in LEADERBOARD].index("n")
        return [*LEADERBOARD[:at], *further, *LEADERBOARD[at:]]

    @property
    def unmeasured(self) -> list[str]:
        return [one.title for one in LEADERBOARD if one.better and not self._values(one)]

    @property
    def counts(self) -> set[tuple[str, str]]:
        """(n, sources) of its rows. More than one pair: not all rows were scored on the same images."""
        return {(row.cells["n"], row.cells["sources"]) for row in self.rows}

    def bracket(self, result: Result) -> tuple[Result | None, Result | None]:
        """The oracle baselines next below and next above a method."""
        oracles = [row for row in self.baselines if row.oracle]
        below = [row for row in oracles if row.score <= result.score]
        above = [row for row in oracles if row.score > result.score]
        return below[0] if below else None, above[-1] if above else None


def leaderboards(table: Table) -> list[Leaderboard]:
    """In the order of the file. Baselines have no task: each leaderboard of the same images has them."""
    flagged = ((row, row["family"] == "floor", row["oracle"] == "true") for row in table)
    rows = [Result(key=key_of(row), cells=row, baseline=baseline, oracle=oracle) for row, baseline, oracle in flagged]
    methods = [row for row in rows if not row.baseline] or rows
    kinds = dict.fromkeys((row.cells["task"], row.cells["dataset"], row.cells["size"]) for row in methods)
    families = tuple(dict.fromkeys(row.cells["family"] for row in rows))
    return [_leaderboard(rows, families, *kind) for kind in kinds]


def _leaderboard(rows: Sequence[Result], families: tuple[str, ...], task: str, dataset: str, size: str) -> Leaderboard:
    same = [row for row in rows if (row.cells["dataset"], row.cells["size"]) == (dataset, size)]
    mine = [row for row in same if row.baseline or row.cells["task"] == task]
    ranked = sorted(mine, key=lambda row: -row.score)
    return Leaderboard(task=task, dataset=dataset, size=size, rows=ranked, families=families)
