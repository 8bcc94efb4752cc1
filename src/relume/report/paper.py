"""`report.pdf`: the findings on at most eight pages, set by Typst from the page's own blocks. Equal inputs give equal bytes."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typst
import vl_convert

from relume.core.files import atomic
from relume.report import details
from relume.report.blocks import Block, Cell, Chart, Part, Pictures, Table, Text
from relume.report.charts import theme
from relume.report.columns import text
from relume.report.data import ReportData
from relume.report.images import Sheets
from relume.report.labels import words
from relume.report.page import TEMPLATES, Content

TEMPLATE, FONT, SIZE = "report.typ", "Libertinus Serif", {"width": 300, "height": 170}  # px of a chart
SCORES = (
    "method",
    "tap",
    "network",
    "psnr",
    "ssim",
    "lpips_alex",
    "lpips_vgg",
    "feature_error",
    "reid_top1",
    "seconds_per_image",
)
PARTS = {"masked": 0, "generators": 0, "metrics": 2}  # of the folded ones their texts, tables and so many charts
UNDER, WIDE = 16, 44  # characters: the most that count for a column's width, of a second line and in all


def write_paper(path: Path, found: Content, data: ReportData, level: str) -> None:
    with TemporaryDirectory() as folder, atomic(path) as temporary:
        root = Path(folder)
        shutil.copy(TEMPLATES / TEMPLATE, root)
        writer = Writer(root, found.sheets)
        sections = [writer.section(part) for part in _sections(found, data, level)]
        about = {"title": found.title, "lead": found.lead, "sections": sections}
        (root / "report.json").write_text(json.dumps(about))
        typst.compile(root / TEMPLATE, output=temporary, root=root, format="pdf", ignore_system_fonts=True, timestamp=0)


def _sections(found: Content, data: ReportData, level: str) -> Iterator[Part]:
    if found.hero is not None:
        yield Part(id="hero", title="", blocks=[found.hero])
    for part in found.doors[:2]:
        yield part
    scores = [board.table(level, SCORES) for board in found.boards]
    curves = [block for part in found.parts if part.id == "convergence" for block in part.blocks]
    yield Part(id="tables", title="All methods and baselines", blocks=[*scores, *curves[:2]])
    asked = [row for row in data.comparisons if " " not in row["question"]]  # the others are in the first tables
    if asked:
        names = {one.method: one.name for board in found.boards for one in board.rows}
        yield Part(id="comparisons", title="Comparisons", blocks=[details.questions(asked, names)])
    for part in found.parts:
        if part.id in PARTS:
            charts = [one for one in part.blocks if isinstance(one, Chart)][: PARTS[part.id]]
            blocks = [one for one in part.blocks if isinstance(one, Text | Table) or one in charts]
            yield Part(id=part.id, title=part.title, lead=part.lead, blocks=blocks)
    yield Part(id="made", title="Provenance", blocks=[_groups(data)])


def _groups(data: ReportData) -> Table:
    rows = []
    for group in data.groups:
        about = group.method
        cells = (words(group.name), str(about.get("code", "")), str(about.get("params", "")), str(about.get("device", "")))
        rows.append([Cell(text=one) for one in cells])
    columns = [text(name, name) for name in ("Group", "Code", "Parameters", "Device")]
    return Table(id="groups", title="Groups of pictures, with hashes of code and parameters.", columns=columns, rows=rows)


class Writer:
    """Blocks as plain data; charts and pictures as files in the folder that Typst reads."""

    def __init__(self, root: Path, sheets: Sheets) -> None:
        self.root, self.sheets, self.count = root, sheets, 0

    def section(self, part: Part) -> dict[str, Any]:
        return {"title": part.title, "lead": part.lead, "blocks": list(self._blocks(part.blocks))}

    def _blocks(self, blocks: Sequence[Block]) -> Iterator[dict[str, Any]]:
        """Neighbouring charts make one figure."""
        charts: list[dict[str, str]] = []
        for one in blocks:
            if isinstance(one, Chart):
                charts.append(self._chart(one))
                continue
            yield from self._figure(charts)
            charts = []
            if isinstance(one, Text):
                yield {"kind": "text", "sentences": list(one.sentences)}
            elif isinstance(one, Table):
                yield self._table(one)
            elif isinstance(one, Pictures):
                yield self._pictures(one)
        yield from self._figure(charts)

    def _figure(self, charts: Sequence[Mapping[str, str]]) -> Iterator[dict[str, Any]]:
        if charts:
            yield {"kind": "charts", "charts": list(charts)}

    def _chart(self, one: Chart) -> dict[str, str]:
        svg = vl_convert.vegalite_to_svg({**one.spec, **SIZE}, config=theme(FONT, size=11, label=190))
        return {"file": self._save(svg.encode(), "svg"), "title": one.title, "caption": one.caption}

    def _save(self, content: bytes, ending: str) -> str:
        self.count += 1
        name = f"{self.count}.{ending}"
        (self.root / name).write_bytes(content)
        return name

    def _table(self, one: Table) -> dict[str, Any]:
        rows = [
            [{"text": cell.text, "under": cell.under, "best": cell.best, "marks": list(cell.marks)} for cell in row]
            for row in one.rows
        ]
        columns = []
        for at, column in enumerate(one.columns):
            lengths = [len(column.title), *(max(len(row[at].text), min(len(row[at].under), UNDER)) for row in one.rows)]
            columns.append({"title": column.heading, "number": not column.text, "width": min(max(lengths), WIDE)})
        return {"kind": "table", "title": one.title, "note": one.note, "columns": columns, "rows": rows}

    def _pictures(self, one: Pictures) -> dict[str, Any]:
        rows = []
        for cell, tiles in one.rows:
            files = []
            for tile in tiles:
                name = f"{self.count + 1}.jpg"
                if tile is not None:
                    self.count += 1
                    self.sheets.image(tile).save(self.root / name, quality=85)
                files.append({"file": "" if tile is None else name, "under": "" if tile is None else tile.under})
            rows.append({"text": cell.text, "under": cell.under, "files": files})
        return {"kind": "pictures", "title": one.title, "caption": one.caption, "rows": rows}
