"""Curves over a number as SVG: marks by family, a label beside each end; in words for those who do not see them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from markupsafe import Markup, escape

from relume.report.axes import HEIGHT, LABEL, MARKS, Scale, across, apart, beside, plain, scale_of
from relume.report.charts import SHADES, ticks

NEAR = 6.0  # per cent across: labels closer than this are kept apart


@dataclass(frozen=True, kw_only=True)
class Point:
    x: float
    y: float
    says: str
    ends: tuple[float, float] | None = None  # of its interval
    hollow: bool = False


@dataclass(frozen=True, kw_only=True)
class Series:
    """One curve, its points from left to right."""

    name: str
    shade: int  # colour and shape
    points: list[Point]
    label: str = ""  # beside its end
    dashed: bool = False
    joined: bool = True

    @property
    def key(self) -> Markup:
        """What stands before its name in the legend."""
        return Markup(f'<svg class="key" viewBox="-6 -6 12 12" aria-hidden="true"><path class="dot" d="{_mark(self)}"/></svg>')

    @property
    def look(self) -> str:
        return f"shade-{self.shade % SHADES}{' seen' if self.dashed else ''}"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A level across the whole plot."""

    name: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Across:
    """The horizontal axis: its title, and what is written below which place."""

    title: str
    logarithmic: bool = False
    names: dict[float, str] = field(default_factory=dict)  # instead of numbers


@dataclass(frozen=True, kw_only=True)
class Plot:
    title: str
    below: str  # the horizontal axis
    axis: Markup
    svg: Markup
    rules: Markup
    series: list[Series]
    over: Across
    levels: list[Rule]
    scale: Scale


def plot(
    id: str, title: str, series: Sequence[Series], *, axis: Across, rules: Sequence[Rule] = (), within: Sequence[float] = ()
) -> Plot:
    """`series` hold at least one point; on a logarithmic axis all x are above 0. `within`: values that the frame shall hold."""
    points = [point for one in series for point in one.points]
    ends = [end for point in points for end in point.ends or ()]
    scale = scale_of([*(point.y for point in points), *ends, *(rule.value for rule in rules), *within])
    over = _Over.of([*(point.x for point in points), *axis.names], axis)
    known = sorted(rules, key=lambda rule: -rule.value)
    lines = "".join(across("rule", scale.at(tick)) for tick in scale.ticks)
    lines += "".join(across("floor-line seen", scale.at(rule.value)) for rule in known)
    drawn = "".join(_curve(one, over, scale) for one in series) + _labels(series, over, scale)
    name = escape(id)
    role = f'role="img" aria-labelledby="{name}" aria-describedby="{name}-says"'
    said = f'<title id="{name}">{escape(title)} over {escape(axis.title)}</title>'
    said += f'<desc id="{name}-says">{escape(_says(series, known))}</desc>'
    height = HEIGHT + LABEL + 5
    names = zip(apart([scale.at(rule.value) for rule in known]), known, strict=True)
    return Plot(
        title=title,
        below=axis.title,
        axis=beside("depth-axis", [(scale.at(tick), plain(tick)) for tick in scale.ticks], 'x="100%" text-anchor="end"'),
        svg=Markup(f'<svg class="depth" height="{height}" {role}>{said}{lines}{over.marks()}{drawn}</svg>'),
        rules=beside("depth-floors", [(y, rule.name) for y, rule in names], 'x="0"'),
        series=list(series),
        over=axis,
        levels=known,
        scale=scale,
    )


@dataclass(frozen=True, kw_only=True)
class _Over:
    """From a number to per cent across."""

    low: float
    high: float
    logarithmic: bool
    labels: dict[float, str]

    @classmethod
    def of(cls, values: Sequence[float], axis: Across) -> "_Over":
        low, high = min(values), max(values)
        if axis.logarithmic:
            bounds, labels = (low, high), rounds(low, high)
        elif axis.names:
            bounds, labels = (low, high), axis.names
        else:
            marks = ticks(low, high)
            bounds, labels = (marks[0], marks[-1]), {mark: plain(mark) for mark in marks}
        return cls(low=bounds[0], high=bounds[1], logarithmic=axis.logarithmic, labels=labels)

    def at(self, value: float) -> float:
        low, high, here = (math.log10(one) if self.logarithmic else one for one in (self.low, self.high, value))
        return 50.0 if high == low else 4 + 90 * (here - low) / (high - low)

    def marks(self) -> str:
        y = HEIGHT + LABEL + 3
        return "".join(
            f'<text x="{self.at(x):.2f}%" y="{y}" text-anchor="middle">{escape(text)}</text>' for x, text in self.labels.items()
        )


def rounds(low: float, high: float) -> dict[float, str]:
    """Powers of ten between the two; where there are not two of them, their halves and fifths as well."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for units in ((1,), (1, 2, 5)):
        found = [value for power in powers for unit in units if low <= (value := float(f"{unit}e{power}")) <= high]
        if len(found) > 1:
            break
    return {value: plain(value) for value in found}


def _curve(one: Series, over: _Over, scale: Scale) -> str:
    def at(point: Point) -> tuple[str, str]:
        return f"{over.at(point.x):.2f}%", f"{scale.at(point.y):.1f}"

    drawn = []
    for a, b in pairwise(one.points) if one.joined else ():
        (x1, y1), (x2, y2) = at(a), at(b)
        drawn.append(f'<line class="line" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>')
    for point in one.points:
        x, y = at(point)
        if point.ends:
            low, high = (f"{scale.at(end):.1f}" for end in point.ends)
            drawn.append(f'<line class="interval" x1="{x}" x2="{x}" y1="{low}" y2="{high}"/>')
        kind = ' class="seen"' if point.hollow else ""
        shape = f'<path class="dot" d="{_mark(one)}"><title>{escape(point.says)}</title></path>'
        drawn.append(f'<svg x="{x}" y="{y}" overflow="visible"><g{kind}>{shape}</g></svg>')
    return f'<g class="{one.look}">{"".join(drawn)}</g>'


def _labels(series: Sequence[Series], over: _Over, scale: Scale) -> str:
    """Beside the ends of the curves, one below the other where they would meet."""
    ends = [(scale.at(one.points[-1].y), over.at(one.points[-1].x), one) for one in series if one.label]
    found: list[tuple[float, float]] = []
    drawn = []
    for y, x, one in sorted(ends, key=lambda end: end[:2]):
        near = [taken for taken, other in found if abs(other - x) < NEAR]
        place = max([y, *(taken + LABEL - 2 for taken in near)])
        found.append((place, x))
        drawn.append(f'<text class="label {one.look}" x="{x:.2f}%" dx="7" y="{place + 4:.1f}">{escape(one.label)}</text>')
    return "".join(drawn)


def _mark(one: Series) -> str:
    return MARKS[one.shade % len(MARKS)]


def _says(series: Sequence[Series], rules: Sequence[Rule]) -> str:
    parts = [f"{one.name}: {'; '.join(point.says for point in one.points)}" for one in series]
    parts += [f"level: {rule.name} {plain(rule.value)}" for rule in rules]
    return ". ".join(parts) + "."
