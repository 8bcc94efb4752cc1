"""The page: one HTML file that loads nothing else. Equal inputs give equal bytes. Its templates are in `templates/`."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from relume.report import depths, details, families, metric_checks
from relume.report.blocks import Chart, Part, Pictures
from relume.report.charts import theme
from relume.report.images import ACROSS, Drawing
from relume.report.leaderboards import Leaderboard, leaderboards
from relume.report.story import Story

TEMPLATES = Path(__file__).parent / "templates"
FONT = "system-ui, -apple-system, Segoe UI, Roboto, Liberation Sans, sans-serif"
DARK: dict[str, Any] = {"ink": "#e9e7e2", "soft": "#a8a49c", "line": "#33363c"}
NOTHING = "No feature was inverted yet, only baselines were measured"


@dataclass(frozen=True, kw_only=True)
class Content:
    """What the page and the paper say."""

    title: str
    lead: str
    hero: Pictures | None
    answers: list[Part]
    parts: list[Part]
    boards: list[Leaderboard]
    stories: list[Story]
    drawing: Drawing


def content(drawing: Drawing) -> Content:
    data = drawing.data
    boards = leaderboards(data.leaderboard, data.families)
    inverted = [depths.networks(board, data.taps, data.shapes, data.comparisons) for board in boards]
    stories = [Story(drawing=drawing, board=board, networks=found) for board, found in zip(boards, inverted, strict=True)]
    first = next((story for story in stories if story.networks), None)
    drawn = [
        *details.parts(stories, drawing),
        *families.parts(drawing),
        *filter(None, [metric_checks.part(data.table("correlations"), data.table("self_test"))]),
        details.making(data),
        details.reading(families.abouts()),
    ]
    reached = [f"{one.title}: {one.methods[0].label} reaches {one.methods[0].score_text} dB" for one in boards if one.methods]
    headline = next(filter(None, [*reached, *(part.headline for part in drawn)]), NOTHING)
    return Content(
        title=headline.rstrip(".") if first is None else depths.title(first.networks),
        lead="" if first is None else depths.lead(first.first),
        hero=None if first is None else first.hero(),
        answers=[] if first is None else first.answers(),
        parts=[part for part in drawn if part.blocks or part.tables],
        boards=boards,
        stories=[] if first is None else [first],
        drawing=drawing,
    )


def render(found: Content) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["breakable"] = lambda name: Markup(str(escape(name)).replace("_", "_<wbr>"))
    charts: list[Chart] = []

    def number(chart: Chart) -> int:
        charts.append(chart)
        return len(charts) - 1

    sheets = {name: (f"p{at}", *about) for at, (name, *about) in enumerate(found.drawing.sheets.css())}
    body = environment.get_template("page.html.j2").render(
        content=found,
        parts=[part for part in found.parts if part.blocks],
        sheets=sheets,
        number=number,
        across=ACROSS,
        style=Markup((TEMPLATES / "style.css").read_text()),
        warnings=list(warnings(found.boards)),
    )
    return re.sub(r"\n\s+", "\n", body).replace("<!-- scripts -->", _scripts(charts))


@cache
def vega() -> str:
    """Vega, Vega-Lite and Vega-Embed; `.dvc/plots/page.html` loads it too, so `dvc plots show` needs no network."""
    code: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return code


def warnings(boards: Sequence[Leaderboard]) -> list[str]:
    told = []
    for board in boards:
        if not board.baselines:
            told.append(f"{board.title}: no baselines were computed, so there is no evidence that a method is better than one.")
        if len(board.counts) > 1:
            told.append(f"{board.title}: not all rows were scored on the same pictures; compare n and sources before scores.")
    return told


def _scripts(charts: Sequence[Chart]) -> str:
    """Specifications, themes, Vega, and what the page does; `</` cannot end a script early."""
    specs = [{**chart.spec, "width": "container", "height": chart.height} for chart in charts]
    data = {"specs": specs, "themes": {"light": theme(FONT), "dark": theme(FONT, **DARK)}}
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
    bundle = vega() if charts else ""
    script = (TEMPLATES / "page.js").read_text()
    return f'<script type="application/json" id="charts">{text}</script>\n<script>{bundle}</script>\n<script>\n{script}</script>'
