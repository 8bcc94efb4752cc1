"""Small charts as SVG: bars of a ranking, and curves over steps. Places are in percent, colours come from the page's style."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from relume.report.columns import signed
from relume.report.data import Table
from relume.report.leaderboards import Ranking, S, Score

DECADES = 1.3  # a term that falls further than this is drawn on a logarithmic axis
PLAIN = 1e6  # numbers below this are written without an exponent
SHADES = 6  # line colours of the style
Curve = Sequence[tuple[float, float]]


def ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers from below `low` to above `high`."""
    span = max(high - low, 1e-9)
    step = next(size for power in range(-9, 9) for size in (10.0**power * unit for unit in (1, 2, 5)) if span / size <= 6)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def short(value: float, digits: int = 2) -> str:
    text = f"{value:.{digits}g}"
    plain = f"{value:.0f}" if "e+" in text and abs(value) < PLAIN else text
    return plain.replace("-", "\N{MINUS SIGN}")


def _decoration(name: str, inside: str) -> Markup:
    """For SVG whose content is also on the page as text."""
    return Markup(f'<svg class="{name}" aria-hidden="true" focusable="false">{inside}</svg>')


@dataclass(frozen=True, kw_only=True)
class BarScale:
    """The horizontal axis that the bars of one chart share."""

    ticks: Sequence[float]

    def at(self, value: float) -> str:
        return f"{2 + 96 * (value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0]):.2f}%"

    def bar(self, kind: str, value: float, interval: tuple[float, float] | None, reference: float | None) -> Markup:
        """A dot with its interval; a dashed line at the reference."""
        inside = "".join(self._vertical("rule", tick) for tick in self.ticks)
        inside += "" if reference is None else self._vertical("baseline-line", reference)
        low, high = (self.at(end) for end in interval or (0, 0))
        bar = f'<line class="interval" x1="{low}" x2="{high}" y1="50%" y2="50%"/>' if interval else ""
        dot = f'<circle class="dot" cx="{self.at(value)}" cy="50%" r="5"/>'
        return _decoration("bar", f'{inside}<g class="{kind}">{bar}{dot}</g>')

    def _vertical(self, kind: str, value: float) -> str:
        return f'<line class="{kind}" x1="{self.at(value)}" x2="{self.at(value)}" y1="0" y2="100%"/>'

    def axis(self, show: Callable[[float], str], labelled: Sequence[float]) -> Markup:
        labels = (f'<text x="{self.at(tick)}" y="14" text-anchor="middle">{show(tick)}</text>' for tick in labelled)
        return _decoration("axis", "".join(labels))


@dataclass(frozen=True, kw_only=True)
class Forest:
    rows: list[tuple[Score, Markup]]
    axis: Markup
    reference: str  # the method at the dashed line


def forest(ranking: Ranking[S]) -> Forest:
    """A forest plot: a row per method with its mean and interval, and a dashed line at the best no-information baseline."""
    drawn = [row for row in ranking.rows if math.isfinite(row.score)]
    values = [value for row in drawn for value in (row.score, *(row.interval or ()))]
    scale = BarScale(ticks=ticks(min(values, default=0), max(values, default=1)))
    reference = ranking.no_information
    level = None if reference is None else reference.score
    return Forest(
        rows=[(row, scale.bar(_kind(row), row.score, row.interval, level)) for row in drawn],
        axis=scale.axis(lambda tick: signed(tick, 0), scale.ticks),
        reference="" if reference is None else reference.method,
    )


def _kind(row: Score) -> str:
    return "baseline" if row.baseline else "oracle" if row.oracle else "method"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Curves over one quantity, with the ends of both axes as text."""

    title: str
    svg: Markup
    description: str
    top: str
    bottom: str
    first: str
    last: str
    logarithmic: bool = False


def curve_panel(
    title: str,
    curves: Mapping[str, Curve],
    *,
    description: str,
    unit: str,
    show: Callable[[float], str] = short,
    show_x: Callable[[float], str] = "{:.0f}".format,
    bands: Mapping[str, tuple[Curve, Curve]] | None = None,
    left: float | None = None,
    logarithmic: bool = False,
) -> Panel:
    """`bands`: lower and upper ends of a curve's interval. `left`: start of the horizontal axis, if not the first point."""
    bands = bands or {}
    points = [point for curve in (*curves.values(), *(end for band in bands.values() for end in band)) for point in curve]
    first, last = min(x for x, _ in points) if left is None else left, max(x for x, _ in points)
    low, high = min(y for _, y in points), max(y for _, y in points)
    scale = math.log10 if logarithmic else float

    def place(curve: Curve) -> str:
        span, rise = (last - first) or 1, (scale(high) - scale(low)) or 1
        return " ".join(f"{100 * (x - first) / span:.2f},{96 - 92 * (scale(y) - scale(low)) / rise:.2f}" for x, y in curve)

    inside = ""
    for number, (name, curve) in enumerate(curves.items()):
        if not curve:
            continue
        shade = f"shade-{number % SHADES}"
        if name in bands:
            lower, upper = bands[name]
            inside += f'<polygon class="band {shade}" points="{place([*lower, *reversed(upper)])}"/>'
        inside += f'<polyline class="line {shade}" points="{place(curve)}"/>'
    return Panel(
        title=title,
        svg=Markup(f'<svg class="curve" role="img" viewBox="0 0 100 100" preserveAspectRatio="none">{inside}</svg>'),
        description=description,
        top=show(high),
        bottom=show(low),
        first=show_x(first),
        last=f"{show_x(last)} {unit}",
        logarithmic=logarithmic,
    )


def panels(trace: Table) -> list[Panel]:
    """A panel per term, a curve per method: `objective` first, then the terms in the order of the trace."""
    terms = dict.fromkeys(row["term"] for row in trace)
    names = methods(trace)
    ordered = sorted(terms, key=lambda term: term != "objective")
    return [_panel(term, [row for row in trace if row["term"] == term], names) for term in ordered]


def methods(trace: Table) -> list[str]:
    """In the order of their colours."""
    return list(dict.fromkeys(row["method"] for row in trace))


def _panel(term: str, rows: Table, names: Sequence[str]) -> Panel:
    curves: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for row in rows:
        curves[row["method"]].append((float(row["step"]), float(row["value"])))
    values = [float(row["value"]) for row in rows]
    low, high = min(values), max(values)
    digits = next((more for more in range(2, 7) if short(low, more) != short(high, more)), 2)
    drawn = [(name, curve) for name, curve in curves.items() if curve]
    ends = [f"{name} from {short(curve[0][1], digits)} to {short(curve[-1][1], digits)}" for name, curve in drawn]
    steps = max(float(row["step"]) for row in rows)
    return curve_panel(
        term,
        curves,
        description=f"{term} over {steps:.0f} steps: {'; '.join(ends)}",
        unit="steps",
        show=lambda value: short(value, digits),
        logarithmic=low > 0 and math.log10(high / low) > DECADES,
    )
