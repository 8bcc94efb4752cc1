"""What `dvc plots show` draws: existing columns, and templates equal to the report's charts that Vega can draw."""

import json
from pathlib import Path
from typing import Any

import pytest
import vl_convert
import yaml
from dvc_render.vega import VegaRenderer

from relume.evaluation.comparison import LEADERBOARD
from relume.evaluation.config import TIMED_PATHS
from relume.methods.landscape.report import COLUMNS as LANDSCAPE
from relume.report.charts import DVC, dvc_templates
from relume.report.depths import COLUMNS as DEPTH

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


def test_templates_are_fresh() -> None:
    found = {path.stem: json.loads(path.read_text()) for path in (ROOT / DVC).glob("*.json")}
    assert found == dvc_templates(), "python -m relume.report.charts writes them"


@pytest.mark.parametrize("title", PLOTS)
def test_plots_draw_existing_columns(title: str) -> None:
    """DVC does not escape titles: an apostrophe breaks the plot."""
    plot = PLOTS[title]
    ((table, column),) = plot["y"].items()
    assert {plot["x"], column} <= set(TABLES[table])
    assert "'" not in title
    row = dict.fromkeys(TABLES[table], 1.0) | {"method": "m", "family": "f", "place": "p", "rev": "workspace"}
    properties = {"template": plot["template"], "x": plot["x"], "y": column, "title": title}
    template = str(ROOT / DVC / f"{plot['template']}.json")
    drawn = VegaRenderer([row, {**row, "rev": "other"}], "plot", **properties | {"template": template})
    spec = drawn.get_filled_template()
    assert "DVC_METRIC" not in json.dumps(spec)
    vl_convert.vegalite_to_svg(spec)
