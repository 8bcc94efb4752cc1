"""Quality against steps and against seconds, all methods of a board in one plot. One pass is a point at step 1."""

from collections.abc import Sequence
from dataclasses import dataclass

from relume.core.results import FAMILIES
from relume.report.boards import Board, Line
from relume.report.columns import column, number
from relume.report.material import Key, Material, Table, key_of
from relume.report.xy_chart import Across, Plot, Point, Rule, Series, plot

METRICS = ("psnr", "lpips_vgg")
STEPS = Across(title="steps, logarithmic", logarithmic=True)
SECONDS = Across(title="seconds per picture, logarithmic", logarithmic=True)


@dataclass(frozen=True, kw_only=True)
class Way:
    """A method's means on its way; seconds are of one picture, None where no time was taken."""

    line: Line
    steps: list[tuple[float, float | None, dict[str, str]]]  # step, seconds, row


@dataclass(frozen=True, kw_only=True)
class Effort:
    plots: list[Plot]
    legend: list[Series]


def effort(material: Material, board: Board) -> Effort | None:
    """None where nothing was measured on the way."""
    rows: dict[Key, Table] = {}
    for row in material.paths:
        rows.setdefault(key_of(row), []).append(row)
    lines = [line for line in board.methods if line.key in rows]
    if all(len(rows[line.key]) < 2 for line in lines):
        return None
    found = [_way(line, rows[line.key]) for line in lines]
    plots = [drawn for name in METRICS for axis in (STEPS, SECONDS) if (drawn := _plot(board, found, name, axis)) is not None]
    return Effort(plots=plots, legend=plots[0].series if plots else [])


def _way(line: Line, rows: Table) -> Way:
    """A pass that took no note of its time takes what the leaderboard says."""
    ordered = sorted(rows, key=lambda row: float(row["step"]))
    whole = number(line.cells["seconds_per_image"]) if len(rows) == 1 else None
    return Way(line=line, steps=[(float(row["step"]), number(row["seconds"]) or whole, row) for row in ordered])


def _plot(board: Board, found: Sequence[Way], name: str, axis: Across) -> Plot | None:
    metric = column(name)
    series = []
    for order, way in enumerate(found):
        points = []
        for step, passed, row in way.steps:
            x, y = step if axis is STEPS else passed, number(row.get(name, ""))
            if x and y is not None:
                at = f"step {step:g}" if axis is STEPS else f"{column('seconds_per_image').show(str(x))} s"
                points.append(Point(x=x, y=y, says=f"{way.line.method}, {at}: {metric.show(row[name])}"))
        if points:
            series.append(_series(way.line, order, points))
    if not series:
        return None
    floor = [board.blind] if board.blind and number(board.blind.cells[name]) is not None else []
    rules = [Rule(name=line.method.removeprefix("floor_").replace("_", " "), value=float(line.cells[name])) for line in floor]
    kind = "steps" if axis is STEPS else "seconds"
    return plot(f"effort-{board.id}-{name}-{kind}", f"{metric.title} {metric.arrow}".strip(), series, axis=axis, rules=rules)


def _series(line: Line, order: int, points: list[Point]) -> Series:
    name = ", ".join(filter(None, (line.method, line.place, "oracle" if line.oracle else "")))
    return Series(name=name, shade=FAMILIES.index(line.cells["family"]), points=points, label=str(order + 1), dashed=line.oracle)
