"""Quality over steps and over seconds, all methods of a leaderboard in one plot. A single pass is a point at step 1."""

from relume.report.columns import column, number
from relume.report.data import Key, ReportData, Table, key_of
from relume.report.depth import baseline_levels
from relume.report.leaderboards import Leaderboard, Result
from relume.report.plots import Plot, Point, Series, XAxis, plot

METRICS = ("psnr", "lpips_vgg")
STEPS = XAxis(title="steps, logarithmic", logarithmic=True)
SECONDS = XAxis(title="seconds per image, logarithmic", logarithmic=True)


def convergence(data: ReportData, board: Leaderboard) -> list[Plot]:
    """A plot per metric and axis; none where no intermediate step was measured."""
    rows: dict[Key, Table] = {}
    for row in data.paths:
        rows.setdefault(key_of(row), []).append(row)
    found = [(result, rows[result.key]) for result in board.methods if result.key in rows]
    if all(len(steps) < 2 for _, steps in found):
        return []
    drawn = [_plot(board, found, name, axis) for name in METRICS for axis in (STEPS, SECONDS)]
    return [one for one in drawn if one is not None]


def _plot(board: Leaderboard, found: list[tuple[Result, Table]], name: str, axis: XAxis) -> Plot | None:
    drawn = (_series(board, result, rows, order, name, axis) for order, (result, rows) in enumerate(found))
    series = [one for one in drawn if one.points]
    metric, kind = column(name), "steps" if axis is STEPS else "seconds"
    levels = baseline_levels(board, metric)
    id = f"convergence-{board.id}-{name}-{kind}"
    return plot(id, metric.heading, series, axis=axis, levels=levels) if series else None


def _series(board: Leaderboard, result: Result, rows: Table, order: int, metric: str, axis: XAxis) -> Series:
    """A single pass without a measured time has the leaderboard's seconds."""
    whole = number(result.cells["seconds_per_image"]) if len(rows) == 1 else None
    points = []
    for row in sorted(rows, key=lambda row: float(row["step"])):
        step, y = float(row["step"]), number(row.get(metric, ""))
        x = step if axis is STEPS else number(row["seconds"]) or whole
        if x and y is not None:
            at = f"step {step:g}" if axis is STEPS else f"{column('seconds_per_image').show(x)} s"
            points.append(Point(x=x, y=y, description=f"{result.method}, {at}: {column(metric).show(y)}"))
    name = ", ".join(filter(None, (result.method, result.place, "oracle" if result.oracle else "")))
    family = board.families.index(result.cells["family"])
    return Series(name=name, shade=family, points=points, label=str(order + 1), dashed=result.oracle)
