"""Error against depth as SVG, a panel per metric of each network."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

from relume.report.axes import HEIGHT, MARKS, Scale, across, apart, beside, plain, scale_of
from relume.report.boards import Board, Line
from relume.report.charts import SHADES
from relume.report.columns import COLUMNS, Column, circular, number
from relume.report.depth import Curve, Depths

METRICS = ("psnr", "lpips_vgg", "feature_error")
KNOWN = {"feature_error": ("mean feature", 1.0)}  # a floor by definition
DODGE = 8  # between families at one tap


@dataclass(frozen=True, kw_only=True)
class DepthPanel:
    """One metric over one network's taps."""

    column: Column
    circular: bool
    logarithmic: bool
    axis: Markup
    plot: Markup
    floors: Markup


def depth_panels(board: Board, depths: Depths) -> list[DepthPanel]:
    """The metrics that were measured there."""
    lines = [line for curve in depths.curves for line in (*curve.best.values(), *curve.others)]
    shown = [name for name in METRICS if any(number(line.cells[name]) is not None for line in lines)]
    return [_panel(board, depths, COLUMNS[name], lines) for name in shown]


def legend_key(curve: Curve) -> Markup:
    """What stands before a curve's name in the legend."""
    return Markup(f'<svg class="key" viewBox="-6 -6 12 12" aria-hidden="true"><path class="dot" d="{_mark(curve)}"/></svg>')


def _panel(board: Board, depths: Depths, column: Column, lines: Sequence[Line]) -> DepthPanel:
    floors = _floors(board, column)
    scale = scale_of([*(value for line in lines for value in _values(line, column)), *(value for _, value, _ in floors)])
    rules = "".join(across("rule", scale.at(tick)) for tick in scale.ticks)
    known = "".join(across(f"floor-line {kind}", scale.at(value)) for _, value, kind in floors)
    curves = "".join(_curve(depths, number, column, scale) for number in range(len(depths.curves)))
    name = f"depth-{board.id}-{depths.network}-{column.name}"
    title = f'<title id="{escape(name)}">{escape(column.title)} over the taps of {escape(depths.network)}</title>'
    says = f'<desc id="{escape(name)}-says">{escape(_says(depths, column, floors))}</desc>'
    role = f'role="img" aria-labelledby="{escape(name)}" aria-describedby="{escape(name)}-says"'
    names = zip(apart([scale.at(value) for _, value, _ in floors]), floors, strict=True)
    return DepthPanel(
        column=column,
        circular=circular(column, depths.network),
        logarithmic=scale.logarithmic,
        axis=beside("depth-axis", [(scale.at(tick), plain(tick)) for tick in scale.ticks], 'x="100%" text-anchor="end"'),
        plot=Markup(f'<svg class="depth" height="{HEIGHT}" {role}>{title}{says}{rules}{known}{curves}</svg>'),
        floors=beside("depth-floors", [(y, text) for y, (text, _, _) in names], 'x="0"'),
    )


def _floors(board: Board, column: Column) -> list[tuple[str, float, str]]:
    """Name, value and kind of those drawn, highest first: all that are made from the picture itself, and the best blind one."""
    chosen = [line for line in board.floors if line.oracle or line is board.blind]
    cells = [(line.method, number(line.cells[column.name]), "seen" if line.oracle else "blind") for line in chosen]
    found = [(name.removeprefix("floor_").replace("_", " "), value, kind) for name, value, kind in cells if value is not None]
    if column.name in KNOWN:
        found.append((*KNOWN[column.name], "blind"))
    return sorted(found, key=lambda floor: -floor[1])


def _values(line: Line, column: Column) -> list[float]:
    """The mean, and the ends of its interval where the table has one."""
    cells = (line.cells.get(name, "") for name in (column.name, f"{column.name}_lo", f"{column.name}_hi"))
    return [value for cell in cells if (value := number(cell)) is not None]


@dataclass(frozen=True, kw_only=True)
class _Pen:
    """Draws points of one curve in one panel."""

    curve: Curve
    places: Sequence[str]
    column: Column
    scale: Scale

    def at(self, line: Line) -> tuple[str, str]:
        x = 100 * (self.places.index(line.cells["tap"]) + 0.5) / len(self.places)
        return f"{x:.2f}%", f"{self.scale.at(_values(line, self.column)[0]):.1f}"

    def segment(self, a: Line, b: Line) -> str:
        (x1, y1), (x2, y2) = self.at(a), self.at(b)
        return f'<line class="line" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'

    def mark(self, line: Line, kind: str) -> str:
        x, y = self.at(line)
        ends = [f"{self.scale.at(value):.1f}" for value in _values(line, self.column)[1:]]
        bar = f'<line class="interval" x1="{x}" x2="{x}" y1="{ends[0]}" y2="{ends[1]}"/>' if ends else ""
        shape = f'<path class="dot" d="{_mark(self.curve)}"><title>{escape(_point(line, self.column))}</title></path>'
        return f'<g class="{kind}">{bar}<svg x="{x}" y="{y}" overflow="visible">{shape}</svg></g>'


def _curve(depths: Depths, order: int, column: Column, scale: Scale) -> str:
    """Segments between neighbours, intervals and marks; a little aside, so that families at one tap do not cover each other."""
    curve = depths.curves[order]
    pen = _Pen(curve=curve, places=depths.places, column=column, scale=scale)
    steps, best, others = (
        [line for line in lines if _values(line, column)] for lines in (curve.steps, curve.best.values(), curve.others)
    )
    drawn = [pen.segment(a, b) for a, b in pairwise(steps)]
    drawn += [pen.mark(line, "other") for line in others] + [pen.mark(line, "best") for line in best]
    aside = DODGE * (order - (len(depths.curves) - 1) / 2)
    kind = f"shade-{curve.family % SHADES}{' seen' if curve.oracle else ''}"
    return f'<g class="{kind}" transform="translate({aside:g} 0)">{"".join(drawn)}</g>'


def _mark(curve: Curve) -> str:
    return MARKS[curve.family % len(MARKS)]


def _point(line: Line, column: Column) -> str:
    lo, hi = (line.cells.get(f"{column.name}_{end}", "") for end in ("lo", "hi"))
    interval = f" ({column.show(lo)} to {column.show(hi)})" if lo and hi else ""
    return f"{line.method}, {line.cells['tap']}: {column.show(line.cells[column.name])}{interval}"


def _says(depths: Depths, column: Column, floors: Sequence[tuple[str, float, str]]) -> str:
    """The chart in words."""
    parts = [f"{curve.name}: {'; '.join(_point(line, column) for line in curve.best.values())}" for curve in depths.curves]
    parts += [f"floors: {', '.join(f'{name} {column.show(str(value))}' for name, value, _ in floors)}"] if floors else []
    return ". ".join(parts) + "."
