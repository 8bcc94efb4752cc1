"""Plots of curves as SVG: marks by family, intervals, levels of baselines, a label at each end, and a description in words.

Places across are in percent, to fit a phone. Heights are in pixels, so that labels can be kept apart.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from markupsafe import Markup, escape

from relume.report.charts import DECADES, SHADES, short, ticks
from relume.report.columns import MINUS

HEIGHT, EDGE, LABEL = 232, 12, 13  # px: of the plot, of its empty edge, least distance of two labels
NEAR = 6.0  # percent across: labels at the ends of curves that are closer than this are kept apart
MARKS = (  # a shape for each family, beside its colour
    "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0z",
    "M-3.5,-3.5h7v7h-7z",
    "M0,-5L5,0L0,5L-5,0z",
    "M0,-4.5L4.5,3.5h-9z",
    "M0,4.5L4.5,-3.5h-9z",
    "M-4.5,-1.5h3v-3h3v3h3v3h-3v3h-3v-3h-3z",
)


@dataclass(frozen=True, kw_only=True)
class Point:
    x: float
    y: float
    description: str
    interval: tuple[float, float] | None = None
    hollow: bool = False
    joined: bool = True


@dataclass(frozen=True, kw_only=True)
class Series:
    """One curve, its points from left to right."""

    name: str
    shade: int  # colour and shape
    points: list[Point]
    faint: Sequence[Point] = ()  # marks beside the curve
    label: str = ""  # at its end
    dashed: bool = False
    shift: float = 0  # px to the right

    @property
    def mark(self) -> str:
        return MARKS[self.shade % len(MARKS)]

    @property
    def key(self) -> Markup:
        """The mark before its name in the legend."""
        return Markup(f'<svg class="key" viewBox="-6 -6 12 12" aria-hidden="true"><path class="dot" d="{self.mark}"/></svg>')

    @property
    def style(self) -> str:
        return f"shade-{self.shade % SHADES}{' hollow' if self.dashed else ''}"


@dataclass(frozen=True, kw_only=True)
class Level:
    """A line across the whole plot."""

    name: str
    value: float
    dotted: bool = True


@dataclass(frozen=True, kw_only=True)
class XAxis:
    title: str
    logarithmic: bool = False
    names: dict[float, str] = field(default_factory=dict)  # tick labels instead of numbers
    categories: Sequence[str] = ()  # x is an index of these; their names are no part of the SVG


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The vertical axis."""

    ticks: list[float]
    logarithmic: bool

    def at(self, value: float) -> float:
        """Pixels from the top."""
        low, high, here = (math.log10(one) if self.logarithmic else one for one in (self.ticks[0], self.ticks[-1], value))
        return HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * (here - low) / (high - low)


@dataclass(frozen=True, kw_only=True)
class Plot:
    title: str
    x_axis: XAxis
    y_axis: Markup
    svg: Markup
    level_names: Markup
    series: list[Series]
    levels: list[Level]
    scale: Scale


def plot(
    id: str, title: str, series: Sequence[Series], *, axis: XAxis, levels: Sequence[Level] = (), within: Sequence[float] = ()
) -> Plot:
    """`series` have at least one point; on a logarithmic axis all x are above 0. `within`: values that the frame must include."""
    points = [point for one in series for point in (*one.points, *one.faint)]
    ends = [end for point in points for end in point.interval or ()]
    scale = scale_of([*(point.y for point in points), *ends, *(level.value for level in levels), *within])
    across = _Across.of([*(point.x for point in points), *axis.names], axis)
    ordered = sorted(levels, key=lambda level: -level.value)
    lines = "".join(_line("rule", scale.at(tick)) for tick in scale.ticks)
    lines += "".join(_line(f"baseline-line{' dotted' if level.dotted else ''}", scale.at(level.value)) for level in ordered)
    drawn = "".join(_curve(one, across, scale) for one in series) + _end_labels(series, across, scale)
    name = escape(id)
    role = f'role="img" aria-labelledby="{name}" aria-describedby="{name}-says"'
    text = f'<title id="{name}">{escape(title)} over {escape(axis.title)}</title>'
    text += f'<desc id="{name}-says">{escape(_description(series, ordered))}</desc>'
    height = HEIGHT if axis.categories else HEIGHT + LABEL + 5
    names = zip(apart([scale.at(level.value) for level in ordered]), (level.name for level in ordered), strict=True)
    return Plot(
        title=title,
        x_axis=axis,
        y_axis=_texts("depth-axis", [(scale.at(tick), plain(tick)) for tick in scale.ticks], 'x="100%" text-anchor="end"'),
        svg=Markup(f'<svg class="depth" height="{height}" {role}>{text}{lines}{across.tick_labels()}{drawn}</svg>'),
        level_names=_texts("level-names", list(names), 'x="0"'),
        series=list(series),
        levels=ordered,
        scale=scale,
    )


def scale_of(values: Sequence[float]) -> Scale:
    low, high = min(values), max(values)
    if low <= 0 or math.log10(high / low) <= DECADES:
        return Scale(ticks=ticks(low, high), logarithmic=False)
    steps = [float(f"{unit}e{power}") for power in _powers(low, high) for unit in (1, 2, 5)]
    bottom, top = max(step for step in steps if step <= low), min(step for step in steps if step >= high)
    whole = [10.0**power for power in _powers(low, high) if bottom < 10.0**power < top]
    return Scale(ticks=[bottom, *whole, top], logarithmic=True)


def _powers(low: float, high: float) -> range:
    return range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)


def decades(low: float, high: float) -> dict[float, str]:
    """Labelled powers of ten between the two; if there are fewer than two, also their multiples by 2 and 5."""
    found: list[float] = []
    for units in ((1,), (1, 2, 5)):
        found = [value for power in _powers(low, high) for unit in units if low <= (value := float(f"{unit}e{power}")) <= high]
        if len(found) > 1:
            break
    return {value: plain(value) for value in found}


@dataclass(frozen=True, kw_only=True)
class _Across:
    """From x to percent across."""

    axis: XAxis
    low: float
    high: float
    labels: dict[float, str]

    @classmethod
    def of(cls, values: Sequence[float], axis: XAxis) -> "_Across":
        low, high, labels = min(values), max(values), axis.names
        if axis.logarithmic:
            labels = decades(low, high)
        elif not axis.names and not axis.categories:
            marks = ticks(low, high)
            low, high, labels = marks[0], marks[-1], {mark: plain(mark) for mark in marks}
        return cls(axis=axis, low=low, high=high, labels=labels)

    def at(self, value: float) -> float:
        if self.axis.categories:
            return 100 * (value + 0.5) / len(self.axis.categories)
        low, high, here = (math.log10(one) if self.axis.logarithmic else one for one in (self.low, self.high, value))
        return 50.0 if high == low else 4 + 90 * (here - low) / (high - low)

    def tick_labels(self) -> str:
        place = f'y="{HEIGHT + LABEL + 3}" text-anchor="middle"'
        return "".join(f'<text x="{self.at(x):.2f}%" {place}>{escape(text)}</text>' for x, text in self.labels.items())


def _curve(series: Series, across: _Across, scale: Scale) -> str:
    def at(point: Point) -> tuple[str, str]:
        return f"{across.at(point.x):.2f}%", f"{scale.at(point.y):.1f}"

    def mark(point: Point, kind: str) -> str:
        x, y = at(point)
        low, high = (f"{scale.at(end):.1f}" for end in point.interval or (point.y, point.y))
        bar = f'<line class="interval" x1="{x}" x2="{x}" y1="{low}" y2="{high}"/>' if point.interval else ""
        shape = f'<path class="dot" d="{series.mark}"><title>{escape(point.description)}</title></path>'
        return f'<g class="{kind}">{bar}<svg x="{x}" y="{y}" overflow="visible">{shape}</svg></g>'

    drawn = []
    for a, b in pairwise(point for point in series.points if point.joined):
        (x1, y1), (x2, y2) = at(a), at(b)
        drawn.append(f'<line class="line" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>')
    drawn += [mark(point, "faint") for point in series.faint]
    drawn += [mark(point, "hollow" if point.hollow else "best") for point in series.points]
    return f'<g class="{series.style}" transform="translate({series.shift:g} 0)">{"".join(drawn)}</g>'


def _end_labels(series: Sequence[Series], across: _Across, scale: Scale) -> str:
    """At the ends of the curves, one below the other where they would overlap."""
    ends = [(scale.at(one.points[-1].y), across.at(one.points[-1].x), one) for one in series if one.label]
    taken: list[tuple[float, float]] = []
    drawn = []
    for y, x, one in sorted(ends, key=lambda end: end[:2]):
        place = max([y, *(other_y + LABEL - 2 for other_y, other_x in taken if abs(other_x - x) < NEAR)])
        taken.append((place, x))
        drawn.append(f'<text class="label {one.style}" x="{x:.2f}%" dx="7" y="{place + 4:.1f}">{escape(one.label)}</text>')
    return "".join(drawn)


def _description(series: Sequence[Series], levels: Sequence[Level]) -> str:
    parts = [f"{one.name}: {'; '.join(point.description for point in one.points)}" for one in series]
    parts += [f"level: {level.name} {short(level.value, 4)}" for level in levels]
    return ". ".join(parts) + "."


def _line(kind: str, y: float) -> str:
    return f'<line class="{kind}" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'


def apart(places: Sequence[float]) -> list[float]:
    """The same places from the top down, moved so that they are at least LABEL apart and within the frame."""
    found: list[float] = []
    for y in places:
        found.append(max(y, found[-1] + LABEL) if found else y)
    limit = HEIGHT - 4.0
    for at in reversed(range(len(found))):
        found[at] = min(found[at], limit)
        limit = found[at] - LABEL
    return found


def _texts(name: str, texts: Sequence[tuple[float, str]], place: str) -> Markup:
    inside = "".join(f'<text {place} y="{y + 4:.1f}">{escape(text)}</text>' for y, text in texts)
    return Markup(f'<svg class="{name}" height="{HEIGHT}" aria-hidden="true" focusable="false">{inside}</svg>')


def plain(value: float) -> str:
    return f"{value:.6g}".replace("-", MINUS)
