"""Charts as SVG, by hand: places in per cent, to fit a phone; colours from the page's style, to follow light and dark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from markupsafe import Markup

from relume.report.columns import signed
from relume.report.material import Table

DECADES = 1.3  # a term that falls further than this is drawn on a logarithmic axis
PLAIN = 1e6  # up to here a number is written without an exponent
SHADES = 6  # colours that the style has for lines


class Mean(Protocol):
    """A method's mean, in dB."""

    @property
    def method(self) -> str: ...
    @property
    def psnr(self) -> float: ...
    @property
    def interval(self) -> tuple[float, float] | None: ...
    @property
    def floor(self) -> bool: ...
    @property
    def oracle(self) -> bool: ...


class Ranking(Protocol):
    """Means of the same pictures, best first."""

    @property
    def lines(self) -> Sequence[Mean]: ...
    @property
    def blind(self) -> Mean | None: ...


@dataclass(frozen=True, kw_only=True)
class Forest:
    rows: list[tuple[Mean, Markup]]
    axis: Markup
    means: str  # what the dashed line is


def forest(board: Ranking) -> Forest:
    """One bar per row: the mean PSNR as a dot, its interval as a line; the best blind floor as a dashed line through all."""
    drawn = [line for line in board.lines if math.isfinite(line.psnr)]
    values = [value for line in drawn for value in (line.psnr, *(line.interval or ()))]
    marks = ticks(min(values, default=0), max(values, default=1))
    low, high = marks[0], marks[-1]

    def at(value: float) -> str:
        return f"{2 + 96 * (value - low) / (high - low):.2f}%"

    back = "".join(f'<line class="rule" x1="{at(tick)}" x2="{at(tick)}" y1="0" y2="100%"/>' for tick in marks)
    if board.blind is not None:
        back += f'<line class="floor-line" x1="{at(board.blind.psnr)}" x2="{at(board.blind.psnr)}" y1="0" y2="100%"/>'
    labels = "".join(f'<text x="{at(tick)}" y="14" text-anchor="middle">{signed(tick, 0)}</text>' for tick in marks)
    return Forest(
        rows=[(line, _svg("bar", back + _dot(line, at(line.psnr), [at(end) for end in line.interval or ()]))) for line in drawn],
        axis=_svg("axis", labels),
        means=board.blind.method if board.blind is not None else "",
    )


def _dot(line: Mean, middle: str, ends: Sequence[str]) -> str:
    bar = f'<line class="interval" x1="{ends[0]}" x2="{ends[1]}" y1="50%" y2="50%"/>' if ends else ""
    shape = f'<circle class="dot" cx="{middle}" cy="50%" r="5"/>'
    return f'<g class="{_kind(line)}">{bar}{shape}</g>'


def _kind(line: Mean) -> str:
    return "floor" if line.floor else "oracle" if line.oracle else "method"


def _svg(name: str, inside: str) -> Markup:
    """Decoration: what it shows stands beside it as text."""
    return Markup(f'<svg class="{name}" aria-hidden="true" focusable="false">{inside}</svg>')


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from below `low` to above `high`, four to eight of them."""
    span = max(high - low, 1e-9)
    step = next(size for power in range(-9, 9) for size in (10.0**power * unit for unit in (1, 2, 5)) if span / size <= 6)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One term over the steps, a line per method of the group."""

    term: str
    svg: Markup
    says: str
    top: str
    bottom: str
    first: str
    last: str
    logarithmic: bool


def panels(trace: Table) -> list[Panel]:
    """`objective` first, then the terms as the trace names them."""
    terms = dict.fromkeys(row["term"] for row in trace)
    ordered = [*(term for term in terms if term == "objective"), *(term for term in terms if term != "objective")]
    names = methods(trace)
    return [_panel(term, [row for row in trace if row["term"] == term], names) for term in ordered]


def methods(trace: Table) -> list[str]:
    """In the order of their colours."""
    return list(dict.fromkeys(row["method"] for row in trace))


def _panel(term: str, rows: Table, names: Sequence[str]) -> Panel:
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        curves.setdefault(row["method"], []).append((float(row["step"]), float(row["value"])))
    steps = [step for curve in curves.values() for step, _ in curve]
    values = [value for curve in curves.values() for _, value in curve]
    low, high = min(values), max(values)
    logarithmic = low > 0 and math.log10(high / low) > DECADES
    scale = math.log10 if logarithmic else float
    bottom, top = scale(low), scale(high)
    digits = next((more for more in range(2, 7) if short(low, more) != short(high, more)), 2)

    def point(step: float, value: float) -> str:
        x = 100 * (step - min(steps)) / ((max(steps) - min(steps)) or 1)
        y = 96 - 92 * (scale(value) - bottom) / ((top - bottom) or 1)
        return f"{x:.2f},{y:.2f}"

    lines = "".join(
        f'<polyline class="line shade-{names.index(name) % SHADES}" points="{" ".join(point(*pair) for pair in curve)}"/>'
        for name, curve in curves.items()
    )
    ends = [f"{name} from {short(curve[0][1], digits)} to {short(curve[-1][1], digits)}" for name, curve in curves.items()]
    says = f"{term} over {max(steps):.0f} steps: {'; '.join(ends)}"
    svg = f'<svg class="curve" role="img" viewBox="0 0 100 100" preserveAspectRatio="none">{lines}</svg>'
    return Panel(
        term=term,
        svg=Markup(svg),
        says=says,
        top=short(high, digits),
        bottom=short(low, digits),
        first=f"{min(steps):.0f}",
        last=f"{max(steps):.0f}",
        logarithmic=logarithmic,
    )


def short(value: float, digits: int = 2) -> str:
    text = f"{value:.{digits}g}"
    plain = f"{value:.0f}" if "e+" in text and abs(value) < PLAIN else text
    return plain.replace("-", "\N{MINUS SIGN}")
