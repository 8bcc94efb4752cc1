"""What `dvc plots show` draws: columns that the tables have, templates that are there, a page that opens."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc_render.vega_templates import TEMPLATES

from relume.evaluation.comparison import LEADERBOARD
from relume.evaluation.config import TIMED_PATHS
from relume.report.depth import COLUMNS as DEPTH
from relume.report.landscape import COLUMNS as LANDSCAPE

ROOT = Path(__file__).resolve().parents[1]
TABLES = {
    "metrics/leaderboard.csv": LEADERBOARD,
    "metrics/paths.csv": TIMED_PATHS,
    "metrics/report/depth.csv": DEPTH,
    "metrics/report/landscape.csv": LANDSCAPE,
}
PLOTS: dict[str, dict[str, Any]] = {
    title: plot for one in yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"] for title, plot in one.items()
}


@pytest.mark.parametrize("title", PLOTS)
def test_a_plot_draws_columns_that_are_there(title: str) -> None:
    """DVC writes a title into the page's scripts as it is: one apostrophe, and the plot is not drawn."""
    ((table, column),) = PLOTS[title]["y"].items()
    assert {PLOTS[title]["x"], column} <= set(TABLES[table])
    assert "'" not in title
    known = {template.DEFAULT_NAME for template in TEMPLATES} | {path.stem for path in (ROOT / ".dvc/plots").glob("*.json")}
    assert PLOTS[title]["template"] in known


@pytest.mark.parametrize("path", sorted((ROOT / ".dvc/plots").glob("*.json")), ids=lambda path: path.stem)
def test_a_template_has_what_dvc_fills_in_and_a_line_for_each_method(path: Path) -> None:
    spec = json.loads(path.read_text())
    filled = {"X": spec["encoding"]["x"]["field"], "Y": spec["encoding"]["y"]["field"], "DATA": spec["data"]["values"]}
    assert filled == {name: f"<DVC_METRIC_{name}>" for name in filled}
    assert (spec["encoding"]["color"]["field"], spec["encoding"]["strokeDash"]["field"]) == ("method", "rev")
