"""Methods by depth: for each network its taps from shallow to deep, and at each tap the best method of every family."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from relume.report.columns import COLUMNS as KNOWN
from relume.report.columns import Column, circular, number
from relume.report.leaderboards import Leaderboard, Result
from relume.report.plots import Level, Plot, Point, Series, XAxis, plot

COLUMNS = ("place", "network", "depth", "tap", "family", "method", "psnr", "lpips_vgg", "feature_error")  # of depth.csv
METRICS = ("psnr", "lpips_vgg", "feature_error")
DODGE = 8  # px between families at one tap
Taps = Mapping[tuple[str, str], Sequence[str]]  # (dataset, network) -> taps from shallow to deep


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A family's methods at a network's taps. Oracle runs are a curve of their own."""

    name: str
    family: int  # its number: a family has the same colour and mark in all plots
    oracle: bool
    best: dict[str, Result]  # tap -> by PSNR
    others: list[Result]

    @property
    def steps(self) -> list[Result]:
        """From single taps, shallow to deep: the points that a line joins."""
        return [result for tap, result in self.best.items() if "+" not in tap]


@dataclass(frozen=True, kw_only=True)
class Depths:
    network: str
    places: list[str]  # shallow to deep; combinations of taps come last
    curves: list[Curve]

    @property
    def depths(self) -> int:
        return sum("+" not in place for place in self.places)


@dataclass(frozen=True, kw_only=True)
class DepthPanel:
    """One metric over one network's taps."""

    column: Column
    circular: bool
    plot: Plot


def depths(board: Leaderboard, taps: Taps) -> list[Depths]:
    """One per network whose features were inverted, in the order of the networks' names."""
    found: dict[str, list[Result]] = {}
    for result in board.methods:
        if (board.dataset, result.cells["network"]) in taps:
            found.setdefault(result.cells["network"], []).append(result)
    return [_depths(name, results, taps[board.dataset, name], board.families) for name, results in sorted(found.items())]


def _depths(network: str, results: Sequence[Result], order: Sequence[str], families: Sequence[str]) -> Depths:
    def depth(tap: str) -> tuple[bool, list[int]]:
        return "+" in tap, sorted((order.index(part) for part in tap.split("+")), reverse=True)

    places = sorted({result.cells["tap"] for result in results}, key=depth)
    kinds = sorted({(families.index(result.cells["family"]), result.oracle) for result in results})
    curves = [_curve(results, places, family, families[family], oracle) for family, oracle in kinds]
    return Depths(network=network, places=places, curves=curves)


def _curve(results: Sequence[Result], places: Sequence[str], family: int, name: str, oracle: bool) -> Curve:
    mine = [result for result in results if (result.cells["family"], result.oracle) == (name, oracle)]
    ranked = sorted(mine, key=lambda result: (places.index(result.cells["tap"]), -result.score))
    best: dict[str, Result] = {}
    for result in ranked:
        best.setdefault(result.cells["tap"], result)
    others = [result for result in ranked if result not in best.values()]
    return Curve(name=f"{name}, oracle" if oracle else name, family=family, oracle=oracle, best=best, others=others)


def depth_panels(board: Leaderboard, depths: Depths) -> list[DepthPanel]:
    """The metrics that were measured there."""
    drawn = [(KNOWN[name], _series(depths, KNOWN[name])) for name in METRICS]
    return [_panel(board, depths, metric, series) for metric, series in drawn if series]


def _panel(board: Leaderboard, depths: Depths, metric: Column, series: Sequence[Series]) -> DepthPanel:
    axis = XAxis(title=f"the taps of {depths.network}", categories=depths.places)
    levels = baseline_levels(board, metric, oracles=True)
    id = f"depth-{board.id}-{depths.network}-{metric.name}"
    drawn = plot(id, metric.title, series, axis=axis, levels=levels)
    return DepthPanel(column=metric, circular=circular(metric, depths.network), plot=drawn)


def _series(depths: Depths, metric: Column) -> list[Series]:
    """Moved a little aside, so that families at one tap do not cover each other."""
    found = []
    for order, curve in enumerate(depths.curves):
        best, others = (_points(results, depths.places, metric) for results in (list(curve.best.values()), curve.others))
        shift = DODGE * (order - (len(depths.curves) - 1) / 2)
        if best or others:
            series = Series(name=curve.name, shade=curve.family, points=best, faint=others, dashed=curve.oracle, shift=shift)
            found.append(series)
    return found


def _points(results: Sequence[Result], places: Sequence[str], metric: Column) -> list[Point]:
    found = []
    for result in results:
        y, lo, hi = (number(result.cells.get(f"{metric.name}{end}", "")) for end in ("", "_lo", "_hi"))
        tap, interval = result.cells["tap"], metric.interval(result.cells)
        if y is not None:
            text = f"{result.method}, {tap}: {metric.show(y)}{f' ({interval})' if interval else ''}"
            ends = None if lo is None or hi is None else (lo, hi)
            found.append(Point(x=places.index(tap), y=y, description=text, interval=ends, joined="+" not in tap))
    return found


def baseline_levels(board: Leaderboard, column: Column, *, oracles: bool = False) -> list[Level]:
    """The best no-information baseline, on request also the oracle baselines; for the feature error the mean feature."""
    chosen = [row for row in board.baselines if row is board.no_information or (oracles and row.oracle)]
    values = [(row, number(row.cells[column.name])) for row in chosen]
    levels = [
        Level(name=row.method.removeprefix("floor_").replace("_", " "), value=value, dotted=row.oracle)
        for row, value in values
        if value is not None
    ]
    return [*levels, Level(name="mean feature", value=1.0, dotted=False)] if column.name == "feature_error" else levels


def table(found: Sequence[Depths]) -> Iterator[dict[str, object]]:
    """depth.csv: a row per point of the curves. `place` sorts alphabetically as the network sorts by depth."""
    for one in found:
        for curve in one.curves:
            for tap, result in curve.best.items():
                depth = one.places.index(tap) + 1
                place = f"{one.network} {depth:02} {tap}, {curve.name}"
                yield {"place": place, "depth": depth, **{name: result.cells[name] for name in COLUMNS if name in result.cells}}
