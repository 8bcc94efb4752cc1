"""The leaderboard cut into boards, one per task, dataset and size: only within these are methods ranked. Floors stand in each."""

from collections.abc import Sequence
from dataclasses import dataclass

from relume.report.columns import LEADERBOARD, Column, circular, column, number
from relume.report.material import Key, Table, key_of

TOLD = ("network", "reid_net", "reid_n", "fd_net", "device")  # columns only where their rows differ
WITHIN = ("family", "task", "oracle", "dataset", "size", "psnr_lo", "psnr_hi")  # told by other cells, or by the board
TASKS = {"feature": "Inverted features", "image": "Inverted pictures (GAN inversion: its target is the picture)"}


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row of the leaderboard with its numbers."""

    key: Key
    cells: dict[str, str]

    @property
    def method(self) -> str:
        return self.cells["method"]

    @property
    def place(self) -> str:
        """What was inverted: a tap of a network."""
        return " of ".join(filter(None, (self.cells["tap"], self.cells["network"])))

    @property
    def floor(self) -> bool:
        return self.cells["family"] == "floor"

    @property
    def oracle(self) -> bool:
        return self.cells["oracle"] == "true"

    @property
    def psnr(self) -> float:
        value = number(self.cells["psnr"])
        return float("-inf") if value is None else value

    @property
    def interval(self) -> tuple[float, float] | None:
        lo, hi = number(self.cells["psnr_lo"]), number(self.cells["psnr_hi"])
        return None if lo is None or hi is None else (lo, hi)


@dataclass(frozen=True, kw_only=True)
class Board:
    task: str
    dataset: str
    size: str
    lines: list[Line]  # best PSNR first

    @property
    def id(self) -> str:
        return "-".join((self.task, self.dataset, self.size))

    @property
    def title(self) -> str:
        return f"{TASKS.get(self.task, self.task)}, {self.dataset} at {self.size} px"

    @property
    def methods(self) -> list[Line]:
        return [line for line in self.lines if not line.floor]

    @property
    def floors(self) -> list[Line]:
        return [line for line in self.lines if line.floor]

    @property
    def blind(self) -> Line | None:
        """The best floor that has not seen the picture."""
        return next((line for line in self.floors if not line.oracle), None)

    @property
    def columns(self) -> list[Column]:
        return [one for one in self._known if not one.optional or len(self._values(one)) > (one.name in TOLD)]

    @property
    def _known(self) -> list[Column]:
        """The contract's columns, with what the table has beyond them after its metrics."""
        further = [column(name) for name in self.lines[0].cells if name not in WITHIN and column(name) not in LEADERBOARD]
        at = next(number for number, one in enumerate(LEADERBOARD) if one.name == "n")
        return [*LEADERBOARD[:at], *further, *LEADERBOARD[at:]]

    @property
    def told(self) -> list[tuple[str, str]]:
        """What is the same in all rows, and so is no column."""
        alike = [(one.title, sorted(self._values(one))) for one in LEADERBOARD if one.name in TOLD]
        return [(title, values[0]) for title, values in alike if len(values) == 1]

    @property
    def unmeasured(self) -> list[str]:
        return [one.title for one in LEADERBOARD if one.better and not self._values(one)]

    def _values(self, one: Column) -> set[str]:
        return {line.cells[one.name] for line in self.lines} - {""}

    @property
    def counts(self) -> set[tuple[str, str]]:
        """(n, sources) of its rows: more than one means that not all were scored on the same pictures."""
        return {(line.cells["n"], line.cells["sources"]) for line in self.lines}

    def bracket(self, line: Line) -> tuple[Line | None, Line | None]:
        """Where a method stands on the ladder of floors that know the picture itself: the next one below, and above."""
        oracles = [floor for floor in self.floors if floor.oracle]
        below = [floor for floor in oracles if floor.psnr <= line.psnr]
        above = [floor for floor in oracles if floor.psnr > line.psnr]
        return below[0] if below else None, above[-1] if above else None

    def best(self, one: Column) -> Line | None:
        """Of the methods that saw only features; a circular judge crowns nobody."""
        sign = 1 if one.better == "higher" else -1
        fair = [line for line in self.methods if not line.oracle and not circular(one, line.cells["network"])]
        ranked = [(sign * value, line) for line in fair if (value := number(line.cells.get(one.name, ""))) is not None]
        return max(ranked, key=lambda pair: pair[0])[1] if ranked and one.better else None


def boards(leaderboard: Table) -> list[Board]:
    """In the order of the file. Floors belong to pictures, not to a task: each board of these pictures shows them."""
    lines = [Line(key=key_of(row), cells=row) for row in leaderboard]
    methods = [line for line in lines if not line.floor] or lines
    kinds = dict.fromkeys((line.cells["task"], line.cells["dataset"], line.cells["size"]) for line in methods)
    return [_board(lines, *kind) for kind in kinds]


def _board(lines: Sequence[Line], task: str, dataset: str, size: str) -> Board:
    same = [line for line in lines if (line.cells["dataset"], line.cells["size"]) == (dataset, size)]
    mine = [line for line in same if line.floor or line.cells["task"] == task]
    return Board(task=task, dataset=dataset, size=size, lines=sorted(mine, key=lambda line: -line.psnr))
