"""The leaderboard, split by task, dataset and size. Methods are ranked within one split only; its baselines are part of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from relume.report import labels
from relume.report.blocks import Cell, Chart, Table, table
from relume.report.charts import dots
from relume.report.columns import CLASSIFIER, LEADERBOARD, Column, column, number
from relume.report.data import Key, key_of
from relume.report.data import Table as Rows

# columns only where their rows differ
SHARED = ("network", "reid_net", "reid_n", "reid_pairs", "fd_net", CLASSIFIER, "device", "dataset", "size")
LINEAR = "floor_linear"  # how the names of linear baselines begin
HIDDEN = ("family", "task", "oracle", "dataset", "size", "psnr_lo", "psnr_hi")  # shown in other cells, or in the title
TASKS = {"feature": "Inverted features", "image": "Target: the image itself"}


@dataclass(frozen=True, kw_only=True)
class Result:
    """A row of a table, ranked by one metric."""

    cells: dict[str, str]
    label: str
    metric: str = "psnr"
    baseline: bool = False
    oracle: bool = False  # has seen the image itself
    below: bool = False  # a linear map of what the method is given does better

    @property
    def key(self) -> Key:
        return key_of(self.cells)

    @property
    def method(self) -> str:
        return self.cells["method"]

    @property
    def place(self) -> str:
        return labels.place(self.cells.get("network", ""), self.cells.get("tap", ""))

    @property
    def name(self) -> str:
        """Unique within a ranking: `Decoder, AlexNet conv3`."""
        return ", ".join(filter(None, (self.label, self.place)))

    @property
    def score(self) -> float:
        value = number(self.cells[self.metric])
        worst = float("inf") if column(self.metric).better == "lower" else float("-inf")
        return worst if value is None else value

    @property
    def interval(self) -> tuple[float, float] | None:
        lo, hi = (number(self.cells.get(f"{self.metric}_{end}", "")) for end in ("lo", "hi"))
        return None if lo is None or hi is None else (lo, hi)

    @property
    def score_text(self) -> str:
        return column(self.metric).show(self.cells[self.metric])

    @property
    def marks(self) -> tuple[str, ...]:
        marks = {"baseline": self.baseline, "oracle": self.oracle, "below linear": self.below}
        return tuple(name for name, holds in marks.items() if holds)

    @property
    def cell(self) -> Cell:
        return Cell(text=self.label, under=self.method, marks=self.marks, value=self.label)


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Results on the same images, best first."""

    id: str
    title: str
    rows: list[Result]
    known: Sequence[Column] = LEADERBOARD

    def __post_init__(self) -> None:
        """Marks the methods that are not above the linear baseline of their own features or masks."""
        linear = [row for row in self.rows if row.baseline and row.method.startswith(LINEAR)]
        rows = [replace(row, below=any(_beats(one, row) for one in linear)) for row in self.rows]
        object.__setattr__(self, "rows", rows)

    @property
    def methods(self) -> list[Result]:
        return [row for row in self.rows if not row.baseline]

    @property
    def baselines(self) -> list[Result]:
        return [row for row in self.rows if row.baseline]

    @property
    def no_information(self) -> Result | None:
        """The best baseline that has not seen the image."""
        return next((row for row in self.baselines if not row.oracle), None)

    def best_by(self, one: Column) -> Result | None:
        """The best method that saw only features. A circular metric has no best method."""
        sign = 1 if one.better == "higher" else -1
        fair = [row for row in self.methods if not row.oracle and not one.circular(row.cells)]
        ranked = [(sign * value, row) for row in fair if (value := number(row.cells.get(one.name, ""))) is not None]
        return max(ranked, key=lambda pair: pair[0])[1] if ranked and one.better else None

    def table(self, level: str, names: Sequence[str] = ()) -> Table:
        """All columns that have values, or those with these names; what is the same in all rows is said below."""
        values = {one.name: {row.cells.get(one.name, "") for row in self.rows} - {""} for one in self.known}
        constant = {name: found for name, found in values.items() if name in SHARED and len(found) == 1}
        said = [f"{column(name).title}: {column(name).show(*found)}." for name, found in constant.items()]
        missing = [one.title for one in self.known if one.better and not values[one.name]]
        note = (
            f"Means over pictures, with {level} intervals. Bold: the best method, never a baseline or an oracle. {' '.join(said)}"
        )
        by_cells = {id(row.cells): row for row in self.rows}
        return table(
            f"table-{self.id}",
            self.title,
            [one for one in self.known if one.name not in constant and (not names or one.name in names)],
            [row.cells for row in self.rows],
            note=f"{note} Not measured here: {', '.join(missing)}." if missing and not names else note,
            sorted=self.rows[0].metric,
            name=lambda cells: by_cells[id(cells)].cell,
            best=lambda one, cells: self.best_by(one) is by_cells[id(cells)],
        )

    def forest(self, what: str, level: str) -> Chart:
        """Each row's mean and interval, and a line at the best no-information baseline."""
        rows = [_dot(row) for row in self.rows if abs(row.score) < float("inf")]
        reference, metric = self.no_information, column(self.rows[0].metric)
        levels = [] if reference is None else [(reference.label, reference.score)]
        caption = f"{what} of every method with its {level} interval; dashed: the best no-information baseline."
        spec = dots(rows, "value", title=f"{metric.title}, {metric.better} is better", levels=levels)
        return Chart(title=self.title, spec=spec, caption=caption, height=24 * len(rows), wide=True)


def _beats(linear: Result, row: Result) -> bool:
    same = all(linear.cells.get(name, "") in ("", row.cells.get(name, "")) for name in ("network", "tap"))
    return same and not row.baseline and row.score <= linear.score


def _dot(row: Result) -> dict[str, object]:
    lo, hi = row.interval or (None, None)
    kind = "baseline" if row.baseline else "oracle run" if row.oracle else "method"
    return {"name": row.name, "value": row.score, "lo": lo, "hi": hi, "kind": kind}


@dataclass(frozen=True, kw_only=True)
class Leaderboard(Ranking):
    task: str
    dataset: str
    size: str
    families: tuple[str, ...]  # names for people, in one order, so that a family has one colour in all charts

    @property
    def counts(self) -> set[tuple[str, str]]:
        """(n, sources) of its rows. More than one pair: not all rows were scored on the same images."""
        return {(row.cells["n"], row.cells["sources"]) for row in self.rows}


def leaderboards(rows: Rows, families: Mapping[str, str]) -> list[Leaderboard]:
    """In the order of the file. Baselines have no task: each leaderboard of the same images has them."""
    results = [
        Result(cells=row, label=label, baseline=row["family"] == labels.BASELINE, oracle=row["oracle"] == "true")
        for row, label in zip(rows, labels.methods(rows, families), strict=True)
    ]
    methods = [row for row in results if not row.baseline] or results
    kinds = dict.fromkeys((row.cells["task"], row.cells["dataset"], row.cells["size"]) for row in methods)
    names = tuple(dict.fromkeys(family(row, families) for row in methods))
    return [_leaderboard(results, names, *kind) for kind in kinds]


def family(row: Result, families: Mapping[str, str]) -> str:
    name = families.get(row.cells["family"], labels.words(row.cells["family"]))
    return f"{name}, oracle" if row.oracle else name


def _leaderboard(results: Sequence[Result], families: tuple[str, ...], task: str, dataset: str, size: str) -> Leaderboard:
    same = [row for row in results if (row.cells["dataset"], row.cells["size"]) == (dataset, size)]
    mine = [row for row in same if row.baseline or row.cells["task"] == task]
    further = [column(name) for name in results[0].cells if name not in HIDDEN and column(name) not in LEADERBOARD]
    at = [one.name for one in LEADERBOARD].index("n")
    return Leaderboard(
        id="-".join((task, dataset, size)),
        title=f"{TASKS.get(task, task)}, {dataset} at {size} px",
        rows=sorted(mine, key=lambda row: -row.score),
        known=[*LEADERBOARD[:at], *(one for one in further if not one.name.endswith(("_lo", "_hi"))), *LEADERBOARD[at:]],
        task=task,
        dataset=dataset,
        size=size,
        families=families,
    )
