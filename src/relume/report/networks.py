"""All networks in one plot: how good the best inversion is at each depth, and how often it finds its original (leakage)."""

from collections.abc import Sequence

from relume.report.answers import leak
from relume.report.boards import Board, Line
from relume.report.columns import column, number
from relume.report.depth import Depths, Taps
from relume.report.words import best
from relume.report.xy_chart import Across, Plot, Point, Rule, Series, plot

METRICS = ("psnr", "lpips_vgg", "feature_error")
AXIS = Across(title="depth of the tap", names={0.0: "shallow", 0.5: "half", 1.0: "deep"})


def backbones(board: Board, found: Sequence[Depths], taps: Taps) -> list[Plot]:
    """A plot per metric; a judge that was itself inverted is left out of its own."""
    drawn = [_metric(board, found, taps, name) for name in METRICS]
    return [one for one in drawn if one is not None]


def leakage(board: Board, found: Sequence[Depths], taps: Taps) -> Plot | None:
    """Re-identification by the method that shows most of it, with what chance would find. None where it was not measured."""
    series, chances = [], {}
    for order, one in enumerate(found):
        points = []
        for tap, lines in _taps(board, one):
            most = leak([line for line in lines if not line.oracle])
            if most is not None:
                chances[f"chance, 1 in {most.candidates:.0f}"] = most.chance
                points.append(Point(x=depth(tap, taps[board.dataset, one.network]), y=most.share, says=f"{tap}: {most.text}"))
        if points:
            series.append(Series(name=one.network, shade=order, points=points))
    rules = [Rule(name=name, value=chance) for name, chance in chances.items()]
    if not series:
        return None
    return plot(f"leakage-{board.id}", "Share that finds its original", series, axis=AXIS, rules=rules, within=(0, 1))


def depth(tap: str, order: Sequence[str]) -> float:
    """0 is the network's first tap, 1 its last; taps are counted, not their distances."""
    return order.index(tap) / max(len(order) - 1, 1)


def _taps(board: Board, one: Depths) -> list[tuple[str, list[Line]]]:
    """Single taps with all that was inverted from them."""
    mine = [line for line in board.methods if line.cells["network"] == one.network]
    return [(tap, [line for line in mine if line.cells["tap"] == tap]) for tap in one.places if "+" not in tap]


def _metric(board: Board, found: Sequence[Depths], taps: Taps, name: str) -> Plot | None:
    metric = column(name)
    series = []
    for order, one in enumerate(found):
        points = []
        for tap, lines in _taps(board, one):
            line = best(lines) if name == "psnr" else _best_by(board, lines, name)
            if line is not None:
                x = depth(tap, taps[board.dataset, one.network])
                points.append(_point(line, x, name))
        if points:
            series.append(Series(name=one.network, shade=order, points=points))
    floor = number(board.blind.cells[name]) if board.blind else None
    rules = [Rule(name=board.blind.method.removeprefix("floor_").replace("_", " "), value=floor)] if board.blind and floor else []
    if name == "feature_error":
        rules = [Rule(name="mean feature", value=1.0)]
    return (
        plot(f"backbones-{board.id}-{name}", f"{metric.title} {metric.arrow}", series, axis=AXIS, rules=rules) if series else None
    )


def _best_by(board: Board, lines: Sequence[Line], name: str) -> Line | None:
    return Board(task=board.task, dataset=board.dataset, size=board.size, lines=list(lines)).best(column(name))


def _point(line: Line, x: float, name: str) -> Point:
    ends = line.interval if name == "psnr" else None
    said = f" ({column(name).show(str(ends[0]))} to {column(name).show(str(ends[1]))})" if ends else ""
    text = f"{line.cells['tap']}, {line.method}: {column(name).show(line.cells[name])}{said}"
    return Point(x=x, y=float(line.cells[name]), says=text, ends=ends)
