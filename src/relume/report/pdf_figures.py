"""The page's plots as figures of the PDF: the same series, in colours for print."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import NullFormatter

from relume.report.charts import SHADES
from relume.report.data import ReportData
from relume.report.images import reconstruction
from relume.report.leaderboards import Leaderboard, Result
from relume.report.metric_checks import CorrelationMatrix
from relume.report.pdf_layout import INK, RULE, SOFT, TEXT_WIDTH, Frame, PdfWriter, width
from relume.report.plots import Plot, Series, decades

COLOURS = ("#14598a", "#b3541e", "#1d6b45", "#7a3e8e", "#8f6f00", "#a8324a")
SHAPES = ("o", "s", "D", "^", "v", "P")
HIGH, BELOW, LABELS, TILE = 94.0, 46.0, 104.0, 3.0  # points: of a panel, below it; of a grid's row labels, between its images


def plots(pdf: PdfWriter, caption: str, found: Sequence[Plot], legend: Sequence[Series], across: int = 2) -> None:
    """Panels side by side, `across` in a row, with one legend below."""
    rows, keys = -(-len(found) // across), _lines(legend)
    high = rows * (HIGH + BELOW) + 11 * len(keys) - 2
    with pdf.figure(caption, high) as frame:
        wide = TEXT_WIDTH / across
        for number, one in enumerate(found):
            row, column = divmod(number, across)
            _panel(frame.axes(column * wide + 26, row * (HIGH + BELOW) + 16, wide - 40, HIGH), one)
        for at, line in enumerate(keys):
            _keys(frame, line, rows * (HIGH + BELOW) + 11 * at + 4)


def _panel(axes: Axes, one: Plot) -> None:
    frame(axes)
    axes.set_title(one.title, fontsize=8.5, loc="left", color=INK, pad=4, parse_math=False)
    axes.set_xlabel(one.x_axis.title.removesuffix(", logarithmic"), fontsize=7.5, color=SOFT, labelpad=2)
    for level in one.levels:
        axes.axhline(level.value, color=SOFT, linewidth=0.7, linestyle=(0, (2, 2)))
        place = (0.99, level.value)
        axes.annotate(level.name, place, (0, 2), ("axes fraction", "data"), "offset points", ha="right", fontsize=6, color=SOFT)
    for series in one.series:
        _series(axes, series)
    if one.x_axis.names:
        axes.set_xticks(list(one.x_axis.names), list(one.x_axis.names.values()))
    if one.x_axis.logarithmic:
        axes.set_xscale("log")
        _decades(axes.xaxis, [point.x for series in one.series for point in series.points])
    if one.scale.logarithmic:
        axes.set_yscale("log")
        _decades(axes.yaxis, one.scale.ticks)


def _decades(axis: Axis, values: Sequence[float]) -> None:
    marks = decades(min(values), max(values))
    axis.set_ticks(list(marks), labels=list(marks.values()))
    axis.set_minor_formatter(NullFormatter())


def _series(axes: Axes, series: Series) -> None:
    colour, shape = COLOURS[series.shade % SHADES], SHAPES[series.shade % SHADES]
    x, y = [point.x for point in series.points], [point.y for point in series.points]
    line = "--" if series.dashed else "-"
    hollow = "white" if series.dashed else colour
    axes.plot(x, y, color=colour, marker=shape, markersize=3, linewidth=0.9, linestyle=line, markerfacecolor=hollow)
    for point in series.points:
        if point.interval:
            axes.plot([point.x] * 2, point.interval, color=colour, linewidth=0.8)
    if series.label:
        axes.annotate(series.label, (x[-1], y[-1]), (4, -2), textcoords="offset points", fontsize=6, color=colour)


def frame(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set(linewidth=0.5, color=RULE)
    axes.tick_params(labelsize=7, width=0.5, length=2.5, color=RULE, labelcolor=INK, which="both")
    axes.grid(axis="y", linewidth=0.3, color="#e3dfd8")
    axes.set_axisbelow(True)


def _lines(legend: Sequence[Series]) -> list[list[Series]]:
    """The legend's entries, as many per line as fit."""
    lines: list[list[Series]] = [[]]
    used = 0.0
    for series in legend:
        wide = _key_width(series)
        if used + wide > TEXT_WIDTH and lines[-1]:
            lines.append([])
            used = 0.0
        lines[-1].append(series)
        used += wide
    return lines


def _key_width(series: Series) -> float:
    return width(_named(series), 7.5) + 26


def _named(series: Series) -> str:
    return f"{series.label}  {series.name}" if series.label else series.name


def _keys(frame: Frame, line: Sequence[Series], y: float) -> None:
    x = 0.0
    for series in line:
        colour = COLOURS[series.shade % SHADES]
        axes = frame.axes(x, y - 6, 12, 6)
        axes.axis("off")
        axes.plot([0.5], [0.5], marker=SHAPES[series.shade % SHADES], color=colour, markersize=3.5)
        frame.write(_named(series), x + 14, y, 7.5)
        x += _key_width(series)


def image_grid(
    pdf: PdfWriter, caption: str, data: ReportData, board: Leaderboard, results: Sequence[Result], ids: Sequence[str]
) -> None:
    """Originals on top, a row per method below, as large as the width and half a page allow."""
    side = min((TEXT_WIDTH - LABELS) / len(ids) - TILE, 560 / (len(results) + 1) - TILE)
    wide, high = len(ids) * (side + TILE), (len(results) + 1) * (side + TILE)
    with pdf.figure(caption, high) as frame:
        axes = frame.axes(LABELS, 0, wide, high)
        for row, result in enumerate([None, *results]):
            y = row * (side + TILE)
            names = ["original"] if result is None else [result.method, result.place, f"{result.score:.1f} dB"]
            for at, name in enumerate(filter(None, names)):
                frame.write(name, 0, y + side / 2 - 6 + 9.5 * at, 8 if at == 0 else 7, colour=SOFT if at else INK)
            for column, id in enumerate(ids):
                pixels = data.originals[board.dataset].image(id) if result is None else reconstruction(data, result, id)
                if pixels is not None:
                    x = column * (side + TILE)
                    axes.imshow(np.asarray(pixels), interpolation="none", extent=(x, x + side, y + side, y))
        axes.set(xlim=(0, wide), ylim=(high, 0), aspect="auto")
        axes.axis("off")


def correlations(pdf: PdfWriter, caption: str, matrix: CorrelationMatrix) -> None:
    values = np.array([[0.0 if cell.rho is None else cell.rho for cell in cells] for _, cells in matrix.rows])
    names, cell = [name for name, _ in matrix.rows], min(34.0, (TEXT_WIDTH - 130) / len(matrix.rows))
    top = max(width(name, 7) for name in names) * 0.75 + 8
    with pdf.figure(caption, top + 0.62 * cell * len(names) + 4) as frame:
        axes = frame.axes(126, top, cell * len(names), 0.62 * cell * len(names))
        axes.imshow(values, cmap="RdBu", vmin=-1.9, vmax=1.9, aspect="auto", interpolation="none")
        axes.set_yticks(range(len(names)), names, fontsize=7)
        axes.set_xticks(range(len(names)), names, fontsize=7, rotation=45, ha="left", rotation_mode="anchor")
        axes.tick_params(length=0, top=True, bottom=False, labeltop=True, labelbottom=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        for row, (_, cells) in enumerate(matrix.rows):
            for column, one in enumerate(cells):
                axes.text(column, row, one.text, ha="center", va="center", fontsize=6.5, color=INK)
