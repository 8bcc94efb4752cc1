"""Layout of A4 pages: wrapped text, tables with aligned numbers that continue over pages, frames for figures, page numbers.

Text is selectable, lines are vectors. Equal calls give equal bytes: no date is written.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import TextToPath

from relume.core.files import atomic

WIDTH, HEIGHT, SIDE, TOP, BOTTOM = 595.0, 842.0, 62.0, 62.0, 66.0  # A4 in points, and its margins
TEXT_WIDTH = WIDTH - 2 * SIDE
FAMILY = "STIXGeneral"  # part of matplotlib; its digits have one width
SERIF = {"font.family": FAMILY, "pdf.fonttype": 42, "axes.unicode_minus": True, "mathtext.fontset": "stix"}
INK, SOFT, RULE = "#1c1c1a", "#66625b", "#b9b4aa"
LEAD = 1.28  # line height, in font sizes
SMALLEST, USUAL, GAP = 6.0, 8.5, 9.0  # points: font sizes of a table, and the space between its columns


@dataclass(frozen=True, kw_only=True)
class PdfColumn:
    """A table's column."""

    title: str
    number: bool = False


@cache
def _advance(character: str, weight: str) -> float:
    """In font sizes. A text is never wider than the sum of its characters: kerning is not added."""
    font = FontProperties(family=FAMILY, size=100, weight=weight)
    return float(TextToPath().get_text_width_height_descent(character, font, ismath=False)[0]) / 100


def width(text: str, size: float, weight: str = "normal") -> float:
    """In points."""
    return size * sum(_advance(character, weight) for character in text)


def wrapped(text: str, room: float, size: float, weight: str = "normal") -> list[str]:
    """Lines no wider than `room` where possible. Lines break at spaces and after underscores."""
    lines, line = [], ""
    for word in text.replace("_", "_\N{ZERO WIDTH SPACE}").split(" "):
        for number, part in enumerate(word.split("\N{ZERO WIDTH SPACE}")):
            joined = line + (" " if line and not number else "") + part
            if line and width(joined, size, weight) > room:
                lines.append(line)
                joined = part
            line = joined
    return [*lines, line]


class PdfWriter:
    """Fills pages from the top. `y` is the current position in points from the top."""

    def __init__(self, pages: PdfPages, running: str) -> None:
        self._pages, self._running = pages, running
        self._figure: Figure | None = None
        self._number, self._tables, self._figures = count(1), count(1), count(1)
        self.y = HEIGHT

    def finish(self) -> None:
        if self._figure is not None:
            self._pages.savefig(self._figure)
            self._figure = None

    def reserve(self, height: float) -> None:
        """Starts a new page if this one has less than `height` points left."""
        if self._figure is None or self.y + height > HEIGHT - BOTTOM:
            self._new_page()

    def _new_page(self) -> None:
        self.finish()
        self._figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72))
        number = next(self._number)
        self._write(str(number), WIDTH / 2, HEIGHT - BOTTOM + 28, 8.5, align="center")
        if number > 1:
            self._write(self._running, SIDE, TOP - 22, 7.5, colour=SOFT, style="italic")
            self._rule(TOP - 16, 0.4)
        self.y = TOP

    def _write(
        self,
        text: str,
        x: float,
        y: float,
        size: float,
        *,
        weight: str = "normal",
        style: Literal["normal", "italic"] = "normal",
        align: str = "left",
        colour: str = INK,
    ) -> None:
        assert self._figure is not None
        font = FontProperties(family=FAMILY, size=size, weight=weight, style=style)
        place: dict[str, Any] = {"ha": align, "va": "baseline", "color": colour, "fontproperties": font, "parse_math": False}
        self._figure.text(x / WIDTH, 1 - y / HEIGHT, text, **place)

    def _rule(self, y: float, thick: float, room: float = TEXT_WIDTH) -> None:
        assert self._figure is not None
        x = [SIDE / WIDTH, (SIDE + room) / WIDTH]
        self._figure.add_artist(Line2D(x, [1 - y / HEIGHT] * 2, linewidth=thick, color=INK))

    def text(self, text: str, *, size: float = 10, weight: str = "normal", after: float = 6) -> None:
        for line in wrapped(text, TEXT_WIDTH, size, weight):
            self.reserve(LEAD * size)
            self.y += LEAD * size
            self._write(line, SIDE, self.y, size, weight=weight)
        self.y += after

    def heading(self, text: str, *, size: float = 13, keep: float = 80) -> None:
        """Never alone at the bottom of a page."""
        self.reserve(2.2 * size + keep)
        self.y += 0.0 if self.y == TOP else 0.9 * size
        self.text(text, size=size, weight="bold", after=0.35 * size)

    def items(self, texts: Sequence[str]) -> None:
        for text in texts:
            lines = wrapped(text, TEXT_WIDTH - 12, 10)
            self.reserve(LEAD * 10 * len(lines))
            self._write("•", SIDE, self.y + LEAD * 10, 10)
            for line in lines:
                self.y += LEAD * 10
                self._write(line, SIDE + 12, self.y, 10)
            self.y += 2
        self.y += 4

    def _caption(self, kind: str, number: int, text: str) -> None:
        lines = wrapped(f"{kind} {number}. {text}", TEXT_WIDTH, 8.5)
        for line in lines:
            self.y += LEAD * 8.5
            self._write(line, SIDE, self.y, 8.5)

    def table(self, caption: str, columns: Sequence[PdfColumn], rows: Sequence[Sequence[str]]) -> None:
        """The titles are repeated on each page of the table."""
        size, widths = fit_columns(columns, rows)
        line, room = LEAD * size, sum(widths) + GAP * (len(widths) - 1)
        cells = [[wrapped(cell, wide, size) for cell, wide in zip(row, widths, strict=True)] for row in rows]
        self.reserve(LEAD * 8.5 * 2 + 6 * line)
        self._caption("Table", next(self._tables), caption)
        self._titles(columns, widths, size)
        for row in cells:
            high = line * max(len(cell) for cell in row)
            if self.y + high + 4 > HEIGHT - BOTTOM:
                self._rule(self.y + 4, 0.4, room)
                self._new_page()
                self._titles(columns, widths, size)
            self._row(row, columns, widths, size)
            self.y += high
        self._rule(self.y + 4, 0.9, room)
        self.y += 18

    def _titles(self, columns: Sequence[PdfColumn], widths: Sequence[float], size: float) -> None:
        room = sum(widths) + GAP * (len(widths) - 1)
        self.y += 7
        self._rule(self.y, 0.9, room)
        self.y += 2
        self._row([[column.title] for column in columns], columns, widths, size)
        self.y += LEAD * size + 4
        self._rule(self.y, 0.4, room)
        self.y += 1

    def _row(self, row: Sequence[Sequence[str]], columns: Sequence[PdfColumn], widths: Sequence[float], size: float) -> None:
        x = SIDE
        for lines, column, wide in zip(row, columns, widths, strict=True):
            for at, text in enumerate(lines, 1):
                place = (x + wide, "right") if column.number else (x, "left")
                self._write(text, place[0], self.y + at * LEAD * size, size, align=place[1])
            x += wide + GAP

    @contextmanager
    def figure(self, caption: str, high: float) -> Iterator["Frame"]:
        """A frame over the whole width, `high` points, with a caption below."""
        self.reserve(high + LEAD * 8.5 * 3 + 12)
        assert self._figure is not None
        yield Frame(figure=self._figure, top=self.y)
        self.y += high + 2
        self._caption("Figure", next(self._figures), caption)
        self.y += 16


@dataclass(frozen=True, kw_only=True)
class Frame:
    figure: Figure
    top: float

    def axes(self, x: float, y: float, wide: float, high: float) -> Axes:
        """In points from the frame's upper left corner."""
        place = ((SIDE + x) / WIDTH, 1 - (self.top + y + high) / HEIGHT, wide / WIDTH, high / HEIGHT)
        return self.figure.add_axes(place)

    def write(self, text: str, x: float, y: float, size: float, colour: str = INK) -> None:
        """`y` is that of the baseline of the text."""
        font = FontProperties(family=FAMILY, size=size)
        place = ((SIDE + x) / WIDTH, 1 - (self.top + y) / HEIGHT)
        self.figure.text(*place, text, fontproperties=font, parse_math=False, color=colour)


def natural_widths(columns: Sequence[PdfColumn], rows: Sequence[Sequence[str]], size: float) -> list[float]:
    """Widths of the columns if nothing is wrapped."""
    texts = zip(*rows, strict=True) if rows else ([] for _ in columns)
    return [max(width(text, size) for text in (column.title, *cells)) for column, cells in zip(columns, texts, strict=True)]


def fit_columns(columns: Sequence[PdfColumn], rows: Sequence[Sequence[str]]) -> tuple[float, list[float]]:
    """Font size and widths of columns: the usual size if that fits, else smaller, at last with wrapped texts."""
    room, size = TEXT_WIDTH - GAP * (len(columns) - 1), USUAL
    while sum(natural_widths(columns, rows, size)) > room and size > SMALLEST:
        size -= 0.5
    widths = natural_widths(columns, rows, size)
    for at in sorted((at for at, column in enumerate(columns) if not column.number), key=lambda at: -widths[at]):
        parts = [part for row in rows for line in wrapped(row[at], 0, size) for part in line.split(" ")]
        least = max((width(part, size) for part in [columns[at].title, *parts]), default=0.0)
        widths[at] = max(least, min(widths[at], widths[at] - (sum(widths) - room)))
    return size, widths


def split_columns(columns: Sequence[PdfColumn], rows: Sequence[Sequence[str]], first: int) -> list[list[int]]:
    """Indices of the columns of as many tables as needed to wrap nothing; the first columns are in each."""
    widths = natural_widths(columns, rows, SMALLEST + 0.5)
    tables: list[list[int]] = [[*range(first)]]
    for at in range(first, len(columns)):
        chosen = [*tables[-1], at]
        if len(tables[-1]) > first and sum(widths[one] + GAP for one in chosen) - GAP > TEXT_WIDTH:
            tables.append([*range(first), at])
        else:
            tables[-1].append(at)
    return tables


@contextmanager
def pdf_writer(path: Path, title: str) -> Iterator[PdfWriter]:
    """The file is written completely or not at all."""
    with atomic(path) as temporary, matplotlib.rc_context(SERIF):  # type: ignore[arg-type]
        about = {"Title": title, "Creator": "relume", "CreationDate": None}
        with PdfPages(temporary, metadata=about) as pages:
            writer = PdfWriter(pages, title)
            yield writer
            writer.finish()
