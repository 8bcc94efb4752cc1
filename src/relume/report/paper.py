"""`report.pdf`: the findings on at most eight pages, set by Typst from the page's own blocks. Equal inputs give equal bytes."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typst
import vl_convert

from relume.core.files import atomic
from relume.report import details
from relume.report.blocks import Chart, Part, Table, Text
from relume.report.charts import theme
from relume.report.images import Sheets
from relume.report.page import TEMPLATES, Content

TEMPLATE, FONT, SIZE = "report.typ", "Libertinus Serif", {"width": 300, "height": 170}  # px of a chart
NARROW = {"width": 190, "height": 150}
SHOWN = ["method", "tap", "network", "psnr", "ssim", "lpips_alex", "lpips_vgg", "feature_error", "reid_top1", "seconds_per_image"]
PARTS = ("masked", "generators", "metrics")  # of the folded ones their texts and tables


def write_paper(path: Path, found: Content) -> None:
    with TemporaryDirectory() as folder, atomic(path) as temporary:
        root = Path(folder)
        shutil.copy(TEMPLATES / TEMPLATE, root)
        sections = [
            {"title": one.title, "lead": one.lead, "blocks": list(_blocks(one, root, found.drawing.sheets))}
            for one in _sections(found)
        ]
        (root / "report.json").write_text(json.dumps({"title": found.title, "lead": found.lead, "sections": sections}))
        typst.compile(root / TEMPLATE, output=temporary, root=root, format="pdf", ignore_system_fonts=True, timestamp=0)


def _sections(found: Content) -> Iterator[Part]:
    if found.hero is not None:
        yield Part(id="hero", title="", blocks=[found.hero])
    yield from found.answers[:-1]
    scores = [board.table(found.drawing.level, SHOWN) for board in found.boards]
    curves = [one for part in found.parts if part.id == "convergence" for one in part.blocks if isinstance(one, Chart)]
    over = [one for one in curves if "seconds" in one.title][:3]
    yield Part(id="tables", title="All methods and baselines", blocks=[*scores, *over])
    compared = details.comparisons(found.drawing.data.comparisons, found.boards)  # the first tables have the baselines
    yield Part(id="comparisons", title="Comparisons", blocks=compared[:1])
    for part in found.parts:
        if part.id in PARTS:
            blocks = [one for one in part.blocks if isinstance(one, Text | Table)]
            yield Part(id=part.id, title=part.title, lead=part.lead, blocks=blocks)


def _blocks(part: Part, root: Path, sheets: Sheets) -> Iterator[dict[str, Any]]:
    """As plain data; charts and pictures as files in `root`. Neighbouring charts make one figure."""
    for at, (kind, blocks) in enumerate(groupby(part.blocks, lambda one: one.kind)):
        if kind == "chart":
            together = list(blocks)
            charts = [_chart(one, root, f"{part.id}-{at}-{number}.svg", len(together)) for number, one in enumerate(together)]
            yield {"kind": kind, "charts": charts}
        elif kind == "pictures":
            yield from (_pictures(one, root, sheets) for one in blocks)
        else:
            yield from map(asdict, blocks)


def _chart(one: Any, root: Path, name: str, beside: int) -> dict[str, str]:
    """Three in a row are narrow; one alone has its legend beside it."""
    size = NARROW if beside == 3 else SIZE
    config = theme(FONT, size=10 if beside == 3 else 11, orient="right" if beside == 1 else "bottom")
    (root / name).write_text(vl_convert.vegalite_to_svg({**one.spec, **size}, config=config))
    return {"file": name, "title": one.title, "caption": one.caption}


def _pictures(one: Any, root: Path, sheets: Sheets) -> dict[str, Any]:
    plain = asdict(one)
    for (_, tiles), (_, files) in zip(one.rows, plain["rows"], strict=True):
        for tile, file in zip(tiles, files, strict=True):
            if tile is not None:
                file["file"] = f"{tile.sheet}-{tile.at}.jpg"
                sheets.image(tile).save(root / file["file"], quality=85)
    return plain
