"""Axes of charts as SVG: across in per cent, to fit a phone; heights in pixels, so that names beside lines can give way."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from relume.report.charts import DECADES, ticks
from relume.report.columns import MINUS

HEIGHT, EDGE, LABEL = 232, 12, 13  # of the plot, its empty edge, the least distance of two names
MARKS = (  # a shape for each family, beside its colour
    "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0z",
    "M-3.5,-3.5h7v7h-7z",
    "M0,-5L5,0L0,5L-5,0z",
    "M0,-4.5L4.5,3.5h-9z",
    "M0,4.5L4.5,-3.5h-9z",
    "M-4.5,-1.5h3v-3h3v3h3v3h-3v3h-3v-3h-3z",
)


@dataclass(frozen=True, kw_only=True)
class Scale:
    ticks: list[float]
    logarithmic: bool

    def at(self, value: float) -> float:
        """Pixels from the top; more is higher."""
        low, high, here = (math.log10(one) if self.logarithmic else one for one in (self.ticks[0], self.ticks[-1], value))
        return HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * (here - low) / (high - low)


def scale_of(values: Sequence[float]) -> Scale:
    low, high = min(values), max(values)
    if low <= 0 or math.log10(high / low) <= DECADES:
        return Scale(ticks=ticks(low, high), logarithmic=False)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = [float(f"{unit}e{power}") for power in powers for unit in (1, 2, 5)]
    bottom, top = max(step for step in steps if step <= low), min(step for step in steps if step >= high)
    whole = [10.0**power for power in powers if bottom < 10.0**power < top]
    return Scale(ticks=[bottom, *whole, top], logarithmic=True)


def across(kind: str, y: float) -> str:
    return f'<line class="{kind}" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'


def apart(places: Sequence[float]) -> list[float]:
    """Where names stand, from the top down: beside their lines, but never closer than LABEL, and within the frame."""
    found: list[float] = []
    for y in places:
        found.append(max(y, found[-1] + LABEL) if found else y)
    limit = HEIGHT - 4.0
    for at in reversed(range(len(found))):
        found[at] = min(found[at], limit)
        limit = found[at] - LABEL
    return found


def beside(name: str, texts: Sequence[tuple[float, str]], place: str) -> Markup:
    inside = "".join(f'<text {place} y="{y + 4:.1f}">{escape(text)}</text>' for y, text in texts)
    return Markup(f'<svg class="{name}" height="{HEIGHT}" aria-hidden="true" focusable="false">{inside}</svg>')


def plain(value: float) -> str:
    return f"{value:.6g}".replace("-", MINUS)
