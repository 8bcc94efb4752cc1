"""How far metrics can be trusted: how well they agree, and whether they put known degradations in order."""

from collections.abc import Sequence
from dataclasses import dataclass

from relume.report.columns import column, number, signed
from relume.report.data import Table
from relume.report.plots import Level, Plot, Point, Series, XAxis, plot

REFERENCES = {("none", ""): "itself", ("floor", "1"): "own mean", ("floor", "2"): "dataset mean"}  # rows that are no degradation
CORRELATED = {"picture": "over single images", "method": "over the means of methods"}


@dataclass(frozen=True, kw_only=True)
class Cell:
    rho: float | None
    text: str
    description: str

    @property
    def strength(self) -> int:
        """Of its colour, in percent."""
        return round(70 * abs(self.rho)) if self.rho is not None else 0


@dataclass(frozen=True, kw_only=True)
class CorrelationMatrix:
    """Rank correlations of all metrics with all: a row of cells for each."""

    id: str
    title: str
    names: list[str]
    rows: list[tuple[str, list[Cell]]]
    extremes: str


@dataclass(frozen=True, kw_only=True)
class DegradationTest:
    plots: list[Plot]
    legend: list[Series]
    text: str


def correlation_matrices(correlations: Table) -> list[CorrelationMatrix]:
    """One per level, and per task, dataset and size if the table has them."""
    kinds = [name for name in ("task", "dataset", "size") if correlations and name in correlations[0]]
    groups: dict[tuple[str, ...], Table] = {}
    for row in correlations:
        groups.setdefault((row["level"], *(row[name] for name in kinds)), []).append(row)
    return [_matrix(key, rows) for key, rows in groups.items()]


def _matrix(key: tuple[str, ...], rows: Table) -> CorrelationMatrix:
    names = list(dict.fromkeys(row[side] for row in rows for side in ("metric_a", "metric_b")))
    known = {frozenset((row["metric_a"], row["metric_b"])): row for row in rows}
    return CorrelationMatrix(
        id="-".join(filter(None, key)),
        title=", ".join(filter(None, (CORRELATED.get(key[0], key[0]), *key[1:]))),
        names=[column(name).title for name in names],
        rows=[(column(a).title, [_cell(a, b, known.get(frozenset((a, b)))) for b in names]) for a in names],
        extremes=_extremes(rows),
    )


def _cell(a: str, b: str, row: dict[str, str] | None) -> Cell:
    rho = number(row["spearman"]) if row else None
    if a == b:
        return Cell(rho=None, text="", description="the same metric")
    if row is None or rho is None:
        return Cell(rho=None, text="–", description="not measured")
    lo, hi = number(row["lo"]), number(row["hi"])
    interval = f", interval {signed(lo, 2)} to {signed(hi, 2)}" if lo is not None and hi is not None else ", no interval"
    description = f"{column(a).title} and {column(b).title}: n = {row['n']}{interval}"
    return Cell(rho=rho, text=signed(rho, 2), description=description)


def _extremes(rows: Table) -> str:
    """The pairs with the highest and the lowest correlation, by absolute value."""
    measured = [(number(row["spearman"]), row) for row in rows if row["metric_a"] != row["metric_b"]]
    pairs = [(abs(rho), row) for rho, row in measured if rho is not None]
    if not pairs:
        return ""
    low, high = min(pairs, key=lambda pair: pair[0]), max(pairs, key=lambda pair: pair[0])
    names = [f"{column(row['metric_a']).title} and {column(row['metric_b']).title} ({rho:.2f})" for rho, row in (high, low)]
    return f"Highest agreement: {names[0]}; lowest: {names[1]}."


def degradation_test(self_test: Table) -> DegradationTest | None:
    """A plot per metric, a curve per degradation from weak to strong; hollow where the metric does not put it in order."""
    metrics = dict.fromkeys(row["metric"] for row in self_test)
    references = {kind for kind, _ in REFERENCES}
    kinds = list(dict.fromkeys(row["degradation"] for row in self_test if row["degradation"] not in references))
    drawn = [_plot(name, kinds, [row for row in self_test if row["metric"] == name]) for name in metrics]
    plots = [one for one in drawn if one is not None]
    if not plots:
        return None
    return DegradationTest(plots=plots, legend=max((one.series for one in plots), key=len), text=_ordered(self_test))


def _plot(metric: str, kinds: Sequence[str], rows: Table) -> Plot | None:
    series = []
    for order, kind in enumerate(kinds):
        steps = [row for row in rows if row["degradation"] == kind and number(row["mean"]) is not None]
        if steps:
            points = [_point(at, metric, row) for at, row in enumerate(steps, 1)]
            series.append(Series(name=kind, shade=order, points=points, dashed=steps[0]["ordered"] == "false"))
    if not series:
        return None
    most = max(len(one.points) for one in series)
    axis = XAxis(title="strength", names={1.0: "weakest", float(max(most, 2)): "strongest"})
    return plot(f"degradation-{metric}", column(metric).heading, series, axis=axis, levels=_levels(rows))


def _levels(rows: Table) -> list[Level]:
    """The metric's finite values for the image itself and for the baselines."""
    found = []
    for row in rows:
        strength, value = number(row["strength"]), number(row["mean"])
        name = REFERENCES.get((row["degradation"], "" if row["degradation"] == "none" or strength is None else f"{strength:g}"))
        if name and value is not None:
            found.append(Level(name=name, value=value))
    return found


def _point(at: int, metric: str, row: dict[str, str]) -> Point:
    lo, hi = number(row["lo"]), number(row["hi"])
    return Point(
        x=at,
        y=float(row["mean"]),
        description=f"{row['degradation']} {row['strength']}: {column(metric).show(row['mean'])}",
        interval=None if lo is None or hi is None else (lo, hi),
        hollow=row["ordered"] == "false",
    )


def _ordered(rows: Table) -> str:
    ranked = [row for row in rows if row["ordered"] and row["degradation"] != "none"]
    tested = {(row["metric"], row["degradation"]): row["ordered"] for row in ranked}
    wrong = [f"{column(metric).title}: {kind}" for (metric, kind), ordered in tested.items() if ordered == "false"]
    text = f"{len(tested) - len(wrong)} of {len(tested)} degradation series are in order"
    return f"{text}; exceptions: {', '.join(wrong)}." if wrong else f"{text}."
