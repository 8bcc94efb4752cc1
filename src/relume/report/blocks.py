"""What the page and the paper are made of: texts, tables, charts and grids of pictures. Templates know only these."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from relume.report.columns import Column

CIRCULAR = "† Circular: the metric network is the network whose features were inverted; such a score is no evidence."


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A picture on a sheet."""

    sheet: str
    at: int
    alt: str
    under: str = ""  # its score
    over: "Tile | None" = None  # the original, drawn over it by the wipe


@dataclass(frozen=True, kw_only=True)
class Cell:
    text: str
    under: str = ""  # an interval, a key
    marks: tuple[str, ...] = ()  # "significant", "baseline", "oracle"
    best: bool = False
    value: str = ""  # to sort by


@dataclass(frozen=True, kw_only=True)
class Table:
    kind: str = "table"
    id: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    sorted: str = ""  # the column by which the rows are in order

    def __post_init__(self) -> None:
        if any("†" in cell.text for row in self.rows for cell in row):
            object.__setattr__(self, "note", f"{self.note} {CIRCULAR}".strip())


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A Vega-Lite specification without a size."""

    kind: str = "chart"
    title: str
    spec: Mapping[str, Any]
    caption: str  # what it shows, in one sentence
    height: int = 240
    wide: bool = False


Row = tuple[Cell, Sequence[Tile | None]]


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """A row of tiles for each label; with `wipe`, originals can be drawn over the tiles."""

    kind: str = "pictures"
    id: str
    title: str
    rows: Sequence[Row]
    caption: str
    heads: Sequence[str] = ()
    wipe: bool = False
    style: str = ""  # hero: large; walk: beside sentences; dense: small


@dataclass(frozen=True, kw_only=True)
class Text:
    kind: str = "text"
    sentences: Sequence[str]


Block = Table | Chart | Pictures | Text


def kept(*blocks: Block | None) -> list[Block]:
    return [one for one in blocks if one is not None]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A section of the page."""

    id: str
    title: str
    lead: str = ""
    blocks: Sequence[Block] = field(default=())
    headline: str = ""  # the page's title where no feature was inverted
    tables: Mapping[str, tuple[Sequence[str], Sequence[Mapping[str, object]]]] = field(default_factory=dict)  # for `dvc plots`


def table(
    id: str,
    title: str,
    columns: Iterable[Column],
    rows: Sequence[Mapping[str, str]],
    *,
    note: str = "",
    sorted: str = "",
    name: Callable[[Mapping[str, str]], Cell | None] = lambda row: None,
    best: Callable[[Column, Mapping[str, str]], bool] = lambda column, row: False,
) -> Table:
    """Rows as in the file. `name` makes the first cell where a row has a name for people."""
    shown = [one for one in columns if not one.optional or any(row.get(one.name) for row in rows)]
    cells = [[(name(row) if not at else None) or score(one, row, best(one, row)) for at, one in enumerate(shown)] for row in rows]
    return Table(id=id, title=title, columns=shown, rows=cells, note=note, sorted=sorted)


def score(one: Column, row: Mapping[str, str], best: bool = False) -> Cell:
    """A row's score as a cell, with its interval, and a dagger where it is circular."""
    raw = row.get(one.name, "")
    dagger = "†" if raw and one.circular(row) else ""
    return Cell(text=f"{one.show(raw)}{dagger}", under=one.interval(row), best=best, value=raw)
