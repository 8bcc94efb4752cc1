"""What the metrics are worth: how far they agree with each other, and whether they put known degradations in order."""

from collections.abc import Sequence
from dataclasses import dataclass

from relume.report.columns import column, number, signed
from relume.report.material import Table
from relume.report.xy_chart import Across, Plot, Point, Rule, Series, plot

KNOWN = {("none", ""): "itself", ("floor", "1"): "own mean", ("floor", "2"): "dataset mean"}  # levels beside the ladders
LEVELS = {"picture": "over single pictures", "method": "over the means of methods"}


@dataclass(frozen=True, kw_only=True)
class Cell:
    rho: float | None
    shown: str
    says: str

    @property
    def strength(self) -> int:
        """Of its colour, in per cent."""
        return round(70 * abs(self.rho)) if self.rho is not None else 0


@dataclass(frozen=True, kw_only=True)
class Heat:
    """Rank correlations of all metrics with all: a row of cells for each."""

    id: str
    title: str
    names: list[str]
    rows: list[tuple[str, list[Cell]]]
    extremes: str


@dataclass(frozen=True, kw_only=True)
class Ladders:
    plots: list[Plot]
    legend: list[Series]
    verdict: str


def heats(correlations: Table) -> list[Heat]:
    """One per level, and per what else the table tells apart."""
    kinds = [name for name in ("task", "dataset", "size") if correlations and name in correlations[0]]
    groups: dict[tuple[str, ...], Table] = {}
    for row in correlations:
        groups.setdefault((row["level"], *(row[name] for name in kinds)), []).append(row)
    return [_heat("-".join(filter(None, key)), key, rows) for key, rows in groups.items()]


def _heat(id: str, key: tuple[str, ...], rows: Table) -> Heat:
    names = list(dict.fromkeys(row[side] for row in rows for side in ("metric_a", "metric_b")))
    known = {frozenset((row["metric_a"], row["metric_b"])): row for row in rows}
    table = [(column(a).title, [_cell(a, b, known.get(frozenset((a, b)))) for b in names]) for a in names]
    title = ", ".join(filter(None, (LEVELS.get(key[0], key[0]), *key[1:])))
    return Heat(id=id, title=title, names=[column(name).title for name in names], rows=table, extremes=_extremes(rows))


def _cell(a: str, b: str, row: dict[str, str] | None) -> Cell:
    rho = number(row["spearman"]) if row else None
    if a == b:
        return Cell(rho=None, shown="", says="the same metric")
    if row is None or rho is None:
        return Cell(rho=None, shown="–", says="not measured")
    lo, hi = number(row["lo"]), number(row["hi"])
    interval = f", interval {signed(lo, 2)} to {signed(hi, 2)}" if lo is not None and hi is not None else ", no interval"
    return Cell(rho=rho, shown=signed(rho, 2), says=f"{column(a).title} and {column(b).title}: n = {row['n']}{interval}")


def _extremes(rows: Table) -> str:
    """The pairs that agree most and least, whichever way their numbers run."""
    found = [
        (abs(rho), row) for row in rows if row["metric_a"] != row["metric_b"] and (rho := number(row["spearman"])) is not None
    ]
    if not found:
        return ""
    low, high = min(found, key=lambda pair: pair[0]), max(found, key=lambda pair: pair[0])
    told = [f"{column(row['metric_a']).title} and {column(row['metric_b']).title} ({size:.2f})" for size, row in (high, low)]
    return f"Most alike: {told[0]}; least: {told[1]}."


def ladders(self_test: Table) -> Ladders | None:
    """A plot per metric, a curve per degradation from weak to strong; hollow where the metric does not put it in order."""
    metrics = list(dict.fromkeys(row["metric"] for row in self_test))
    beside = {kind for kind, _ in KNOWN}
    kinds = list(dict.fromkeys(row["degradation"] for row in self_test if row["degradation"] not in beside))
    found = [_ladder(name, kinds, [row for row in self_test if row["metric"] == name]) for name in metrics]
    plots = [one for one in found if one is not None]
    return (
        Ladders(plots=plots, legend=max((one.series for one in plots), key=len), verdict=_verdict(self_test)) if plots else None
    )


def _ladder(metric: str, kinds: Sequence[str], rows: Table) -> Plot | None:
    series = []
    for order, kind in enumerate(kinds):
        rungs = [row for row in rows if row["degradation"] == kind and number(row["mean"]) is not None]
        if rungs:
            points = [_rung(at, metric, row) for at, row in enumerate(rungs, 1)]
            series.append(Series(name=kind, shade=order, points=points, dashed=rungs[0]["ordered"] == "false"))
    if not series:
        return None
    most = max(len(one.points) for one in series)
    one = column(metric)
    axis = Across(title="strength", names={1.0: "weakest", float(max(most, 2)): "strongest"})
    return plot(f"ladder-{metric}", f"{one.title} {one.arrow}".strip(), series, axis=axis, rules=_levels(rows))


def _levels(rows: Table) -> list[Rule]:
    """What the metric says of the picture itself and of its floors, where that is finite."""
    found = []
    for row in rows:
        strength = number(row["strength"])
        name = KNOWN.get((row["degradation"], "" if row["degradation"] == "none" or strength is None else f"{strength:g}"))
        value = number(row["mean"])
        if name and value is not None:
            found.append(Rule(name=name, value=value))
    return found


def _rung(at: int, metric: str, row: dict[str, str]) -> Point:
    lo, hi = number(row["lo"]), number(row["hi"])
    return Point(
        x=at,
        y=float(row["mean"]),
        says=f"{row['degradation']} {row['strength']}: {column(metric).show(row['mean'])}",
        ends=None if lo is None or hi is None else (lo, hi),
        hollow=row["ordered"] == "false",
    )


def _verdict(rows: Table) -> str:
    judged = dict.fromkeys((row["metric"], row["degradation"]) for row in rows if row["ordered"] and row["degradation"] != "none")
    wrong = dict.fromkeys(
        (row["metric"], row["degradation"]) for row in rows if row["ordered"] == "false" and row["degradation"] != "none"
    )
    text = f"{len(judged) - len(wrong)} of {len(judged)} ladders are put in order"
    return f"{text}; not by {', '.join(f'{column(metric).title}: {kind}' for metric, kind in wrong)}." if wrong else f"{text}."
