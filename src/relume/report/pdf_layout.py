"""A4 pages to print: text that wraps, tables with aligned numerals that go on over pages, frames for figures, page numbers.

Text is text (selectable, embedded), lines are vectors. Equal calls give equal bytes: no date is written.
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
ROOM = WIDTH - 2 * SIDE
FAMILY = "STIXGeneral"  # comes with matplotlib; its numerals are of one width
SERIF = {"font.family": FAMILY, "pdf.fonttype": 42, "axes.unicode_minus": True, "mathtext.fontset": "stix"}
INK, SOFT, RULE = "#1c1c1a", "#66625b", "#b9b4aa"
LEAD = 1.28  # from line to line, in sizes
SMALLEST, USUAL, GAP = 6.0, 8.5, 9.0  # sizes of a table's type, and the space between its columns


@dataclass(frozen=True, kw_only=True)
class Head:
    """A table's column."""

    title: str
    number: bool = False


@cache
def _advance(character: str, weight: str) -> float:
    """In sizes. Pairs are not drawn closer than their single widths, so a text is never wider than their sum."""
    font = FontProperties(family=FAMILY, size=100, weight=weight)
    return float(TextToPath().get_text_width_height_descent(character, font, ismath=False)[0]) / 100


def width(text: str, size: float, weight: str = "normal") -> float:
    """In points."""
    return size * sum(_advance(character, weight) for character in text)


def wrapped(text: str, room: float, size: float, weight: str = "normal") -> list[str]:
    """Lines no wider than `room`, as far as there are places to break: spaces, and underscores in long names."""
    lines, line = [], ""
    for word in text.replace("_", "_\N{ZERO WIDTH SPACE}").split(" "):
        for number, part in enumerate(word.split("\N{ZERO WIDTH SPACE}")):
            joined = line + (" " if line and not number else "") + part
            if line and width(joined, size, weight) > room:
                lines.append(line)
                joined = part
            line = joined
    return [*lines, line]


class Paper:
    """Fills pages from the top. `y` is how far down the page it has come, in points."""

    def __init__(self, pages: PdfPages, running: str) -> None:
        self._pages, self._running = pages, running
        self._figure: Figure | None = None
        self._number, self._tables, self._figures = count(1), count(1), count(1)
        self.y = HEIGHT

    def finish(self) -> None:
        if self._figure is not None:
            self._pages.savefig(self._figure)
            self._figure = None

    def need(self, room: float) -> None:
        """What follows stands together: on this page if it has the room, else on the next."""
        if self._figure is None or self.y + room > HEIGHT - BOTTOM:
            self._turn()

    def _turn(self) -> None:
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

    def _rule(self, y: float, thick: float, room: float = ROOM) -> None:
        assert self._figure is not None
        x = [SIDE / WIDTH, (SIDE + room) / WIDTH]
        self._figure.add_artist(Line2D(x, [1 - y / HEIGHT] * 2, linewidth=thick, color=INK))

    def text(self, text: str, *, size: float = 10, weight: str = "normal", after: float = 6) -> None:
        for line in wrapped(text, ROOM, size, weight):
            self.need(LEAD * size)
            self.y += LEAD * size
            self._write(line, SIDE, self.y, size, weight=weight)
        self.y += after

    def heading(self, text: str, *, size: float = 13, keep: float = 80) -> None:
        """Never alone at the foot of a page."""
        self.need(2.2 * size + keep)
        self.y += 0.0 if self.y == TOP else 0.9 * size
        self.text(text, size=size, weight="bold", after=0.35 * size)

    def items(self, texts: Sequence[str]) -> None:
        for text in texts:
            lines = wrapped(text, ROOM - 12, 10)
            self.need(LEAD * 10 * len(lines))
            self._write("•", SIDE, self.y + LEAD * 10, 10)
            for line in lines:
                self.y += LEAD * 10
                self._write(line, SIDE + 12, self.y, 10)
            self.y += 2
        self.y += 4

    def _caption(self, kind: str, number: int, text: str) -> None:
        lines = wrapped(f"{kind} {number}. {text}", ROOM, 8.5)
        for line in lines:
            self.y += LEAD * 8.5
            self._write(line, SIDE, self.y, 8.5)

    def table(self, caption: str, heads: Sequence[Head], rows: Sequence[Sequence[str]]) -> None:
        """The head stands again where the table goes on over a page."""
        size, widths = fitted(heads, rows)
        line, room = LEAD * size, sum(widths) + GAP * (len(widths) - 1)
        cells = [[wrapped(cell, wide, size) for cell, wide in zip(row, widths, strict=True)] for row in rows]
        self.need(LEAD * 8.5 * 2 + 6 * line)
        self._caption("Table", next(self._tables), caption)
        self._heads(heads, widths, size)
        for row in cells:
            high = line * max(len(cell) for cell in row)
            if self.y + high + 4 > HEIGHT - BOTTOM:
                self._rule(self.y + 4, 0.4, room)
                self._turn()
                self._heads(heads, widths, size)
            self._row(row, heads, widths, size)
            self.y += high
        self._rule(self.y + 4, 0.9, room)
        self.y += 18

    def _heads(self, heads: Sequence[Head], widths: Sequence[float], size: float) -> None:
        room = sum(widths) + GAP * (len(widths) - 1)
        self.y += 7
        self._rule(self.y, 0.9, room)
        self.y += 2
        self._row([[head.title] for head in heads], heads, widths, size)
        self.y += LEAD * size + 4
        self._rule(self.y, 0.4, room)
        self.y += 1

    def _row(self, row: Sequence[Sequence[str]], heads: Sequence[Head], widths: Sequence[float], size: float) -> None:
        x = SIDE
        for lines, head, wide in zip(row, heads, widths, strict=True):
            for at, text in enumerate(lines, 1):
                place = (x + wide, "right") if head.number else (x, "left")
                self._write(text, place[0], self.y + at * LEAD * size, size, align=place[1])
            x += wide + GAP

    @contextmanager
    def figure(self, caption: str, high: float) -> Iterator["Frame"]:
        """A frame over the whole width, `high` points, with its caption below."""
        self.need(high + LEAD * 8.5 * 3 + 12)
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
        """Points from the frame's upper left corner."""
        place = ((SIDE + x) / WIDTH, 1 - (self.top + y + high) / HEIGHT, wide / WIDTH, high / HEIGHT)
        return self.figure.add_axes(place)

    def write(self, text: str, x: float, y: float, size: float, colour: str = INK) -> None:
        """`y` is that of the line on which the text stands."""
        font = FontProperties(family=FAMILY, size=size)
        place = ((SIDE + x) / WIDTH, 1 - (self.top + y) / HEIGHT)
        self.figure.text(*place, text, fontproperties=font, parse_math=False, color=colour)


def natural(heads: Sequence[Head], rows: Sequence[Sequence[str]], size: float) -> list[float]:
    """What the columns take if nothing is wrapped."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in heads)
    return [max(width(text, size) for text in (head.title, *cells)) for head, cells in zip(heads, columns, strict=True)]


def fitted(heads: Sequence[Head], rows: Sequence[Sequence[str]]) -> tuple[float, list[float]]:
    """Size of type and widths of columns: the usual size if that fits, else smaller; at last wide texts are wrapped."""
    room, size = ROOM - GAP * (len(heads) - 1), USUAL
    while sum(natural(heads, rows, size)) > room and size > SMALLEST:
        size -= 0.5
    widths = natural(heads, rows, size)
    for at in sorted((at for at, head in enumerate(heads) if not head.number), key=lambda at: -widths[at]):
        parts = [part for row in rows for line in wrapped(row[at], 0, size) for part in line.split(" ")]
        least = max((width(part, size) for part in [heads[at].title, *parts]), default=0.0)
        widths[at] = max(least, min(widths[at], widths[at] - (sum(widths) - room)))
    return size, widths


def split(heads: Sequence[Head], rows: Sequence[Sequence[str]], first: int) -> list[list[int]]:
    """Columns of as many tables as it takes for none to be wrapped; the first columns stand in each."""
    widths = natural(heads, rows, SMALLEST + 0.5)
    tables: list[list[int]] = [[*range(first)]]
    for at in range(first, len(heads)):
        chosen = [*tables[-1], at]
        if len(tables[-1]) > first and sum(widths[one] + GAP for one in chosen) - GAP > ROOM:
            tables.append([*range(first), at])
        else:
            tables[-1].append(at)
    return tables


@contextmanager
def paper(path: Path, title: str) -> Iterator[Paper]:
    """Written whole or not at all."""
    with atomic(path) as temporary, matplotlib.rc_context(SERIF):  # type: ignore[arg-type]
        about = {"Title": title, "Creator": "relume", "CreationDate": None}
        with PdfPages(temporary, metadata=about) as pages:
            made = Paper(pages, title)
            yield made
            made.finish()
