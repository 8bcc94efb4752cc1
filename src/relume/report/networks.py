"""All networks in one plot: the best inversion at each depth, and how often it is re-identified (leakage)."""

from collections.abc import Sequence

from relume.report.columns import column
from relume.report.depth import METRICS, Depths, Taps, baseline_levels
from relume.report.findings import best
from relume.report.leaderboards import Leaderboard, Result
from relume.report.plots import Level, Plot, Point, Series, XAxis, plot
from relume.report.summaries import leak

AXIS = XAxis(title="depth of the tap", names={0.0: "shallow", 0.5: "half", 1.0: "deep"})


def network_plots(board: Leaderboard, found: Sequence[Depths], taps: Taps) -> list[Plot]:
    """A plot per metric. A metric network that was itself inverted is left out of its own plot."""
    drawn = [_metric(board, found, taps, name) for name in METRICS]
    return [one for one in drawn if one is not None]


def leakage(board: Leaderboard, found: Sequence[Depths], taps: Taps) -> Plot | None:
    """Re-identification by the method with the highest share, with the chance level. None where it was not measured."""
    series, chances = [], {}
    for order, one in enumerate(found):
        points = []
        for tap, results in _taps(board, one):
            most = leak([result for result in results if not result.oracle])
            if most is not None:
                chances[f"chance, 1 in {most.candidates:.0f}"] = most.chance
                x = depth(tap, taps[board.dataset, one.network])
                points.append(Point(x=x, y=most.share, description=f"{tap}: {most.text}"))
        if points:
            series.append(Series(name=one.network, shade=order, points=points))
    levels = [Level(name=name, value=chance) for name, chance in chances.items()]
    if not series:
        return None
    return plot(f"leakage-{board.id}", "Re-identified (top-1)", series, axis=AXIS, levels=levels, within=(0, 1))


def depth(tap: str, order: Sequence[str]) -> float:
    """0 is the network's first tap, 1 its last; taps are counted, not their distances."""
    return order.index(tap) / max(len(order) - 1, 1)


def _taps(board: Leaderboard, one: Depths) -> list[tuple[str, list[Result]]]:
    """Single taps with all results from them."""
    mine = [result for result in board.methods if result.cells["network"] == one.network]
    return [(tap, [result for result in mine if result.cells["tap"] == tap]) for tap in one.places if "+" not in tap]


def _metric(board: Leaderboard, found: Sequence[Depths], taps: Taps, name: str) -> Plot | None:
    metric = column(name)
    series = []
    for order, one in enumerate(found):
        points = []
        for tap, results in _taps(board, one):
            result = best(results) if name == "psnr" else _best_by(board, results, name)
            if result is not None:
                points.append(_point(result, depth(tap, taps[board.dataset, one.network]), name))
        if points:
            series.append(Series(name=one.network, shade=order, points=points))
    if not series:
        return None
    return plot(f"networks-{board.id}-{name}", metric.heading, series, axis=AXIS, levels=baseline_levels(board, metric))


def _best_by(board: Leaderboard, results: Sequence[Result], name: str) -> Result | None:
    return Leaderboard(task=board.task, dataset=board.dataset, size=board.size, rows=list(results)).best_by(column(name))


def _point(result: Result, x: float, name: str) -> Point:
    metric = column(name)
    ends, interval = (result.interval, metric.interval(result.cells)) if name == "psnr" else (None, "")
    text = f"{result.cells['tap']}, {result.method}: {metric.show(result.cells[name])}{f' ({interval})' if interval else ''}"
    return Point(x=x, y=float(result.cells[name]), description=text, interval=ends)
