"""Charts whose points are known by hand; every specification is drawn by Vega; the paper has at most eight pages."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import vl_convert

from relume.report import defences
from relume.report.blocks import Block, Chart
from relume.report.charts import dots, heat, lines, taps, theme
from relume.report.data import ReportData
from relume.report.details import convergence
from relume.report.metric_checks import part
from relume.report.page import Content
from relume.report.paper import write_paper
from tests.contract_files import GROUPS, write
from tests.masked_files import GROUP, write_masked
from tests.report_files import content_of, data_of, rows_of, write_maps, write_measures, write_model

PAPER = "import sys, pathlib as p; from tests.test_report_charts import paper; paper(*map(p.Path, sys.argv[1:]))"


def paper(root: Path, path: Path) -> bytes:
    write_paper(path, content_of(root, [*GROUPS, GROUP]))
    return path.read_bytes()


def charts(blocks: list[Block] | Any) -> list[Chart]:
    return [one for one in blocks if isinstance(one, Chart)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write(tmp_path_factory.mktemp("charts"))
    write_measures(root)
    write_model(root, "deep")
    write_masked(root)
    write_maps(root)
    return root


@pytest.fixture(scope="module")
def data(root: Path) -> ReportData:
    return data_of(root)


@pytest.fixture(scope="module")
def content(root: Path) -> Content:
    return content_of(root, [*GROUPS, GROUP])


def test_vega_draws_every_chart(content: Content) -> None:
    found = charts([block for one in [*content.answers, *content.parts] for block in one.blocks])
    assert len(found) > 20
    for chart in found:
        assert chart.caption.endswith(".")
        svg = vl_convert.vegalite_to_svg({**chart.spec, "width": 300, "height": 100}, config=theme("serif"))
        assert all(number not in svg for number in ("NaN", "Infinity")), chart.title
        assert svg.count("<path") > 1


def test_values_are_where_they_belong() -> None:
    rows = [{"name": name, "x": 10.0**at, "y": at * 1.0} for name in "ab" for at in range(3)]
    drawn = vl_convert.vegalite_to_vega(
        {**lines(rows, "x", "y", order=["a", "b"], log=(True, False), levels=[("level", 1.5)]), "width": 90}
    )
    assert {scale["name"]: scale["type"] for scale in drawn["scales"]} == {"x": "log", "y": "linear", "color": "ordinal"}
    (color,) = (scale for scale in drawn["scales"] if scale["name"] == "color")
    assert color["domain"] == ["a", "b"], "a name has its colour, whoever else is drawn"
    points = [{"tap": tap, "name": "n", "value": 1.0, "lo": None, "hi": 2.0, "joined": True} for tap in ("b", "a")]
    found = taps(points, "value", order=["b", "a"], names={"n": "n"}, title="t", bound=[{"tap": "b", "bound": 0.5}])
    vl_convert.vegalite_to_svg(found)
    assert all("lo" not in row for row in rows_of(found)), "what is not known is not drawn"
    found = taps(
        [{**points[0], "name": name} for name in "nmo"], "value", order=["b"], names={"n": "k", "m": "k", "o": "l"}, title="t"
    )
    (drawn,) = (layer["encoding"] for layer in found["layer"] if layer["mark"]["type"] == "point")
    (first, second, third), shapes = (drawn[name]["scale"]["range"] for name in ("color", "shape"))
    assert first == second != third, "a family has one colour"
    assert shapes[0] == shapes[2] != shapes[1], "and a shape for each of its methods"
    forest = dots([{"name": "z", "value": 1 / 3, "kind": "method"}, {"name": "a", "value": 2.0, "kind": "baseline"}], "value")
    assert forest["layer"][0]["encoding"]["y"]["sort"] == ["z", "a"]
    assert rows_of(forest)[0]["value"] == 0.33333
    vl_convert.vegalite_to_svg(heat([{"a": "p", "b": "q", "rho": -0.5}], ["p", "q"]))


def test_quality_over_steps_and_seconds(content: Content) -> None:
    found = list(convergence(content.stories[0]))
    assert [chart.title.split(" over ")[1] for chart in found] == ["steps", "seconds per picture"] * 4
    assert {chart.title.split(":")[0] for chart in found} == {"AlexNet conv2", "AlexNet conv5"}
    points = next(rows_of(chart.spec) for chart in found if chart.title.startswith("AlexNet conv2: PSNR, dB over seconds"))
    assert [row["seconds"] for row in points if row.get("name") == "Optimisation"] == [0.02, 0.2, 2, 6]
    assert any(row.get("level") == "dataset's mean colour" for row in rows_of(found[0].spec))
    assert not any("mean" in str(row.get("name")) for row in rows_of(found[0].spec)), "baselines take no steps"


def test_metrics_that_misorder_degradations_are_named(data: ReportData) -> None:
    assert part([], []) is None
    found = part(data.table("correlations"), data.table("self_test"))
    assert found is not None
    text, matrix = found.blocks
    assert isinstance(matrix, Chart)
    assert sorted((row["a"], row["b"], row["rho"]) for row in rows_of(matrix.spec)) == [
        ("PSNR, dB", "SSIM", 0.8),
        ("SSIM", "PSNR, dB", 0.8),
    ]
    assert "3 of 4" in text.sentences[0]  # type: ignore[union-attr]


def test_the_defence_that_saves_at_little_cost_is_named(data: ReportData) -> None:
    assert defences.part([], "95%") is None
    found = defences.part(data.table("defences"), "95%")
    assert found is not None
    _, text, chart = found.blocks
    assert "1 bit" in text.sentences[-1]  # type: ignore[union-attr]
    assert "50% (undefended: 100%)" in text.sentences[-1]  # type: ignore[union-attr]
    assert isinstance(chart, Chart)
    assert [row["tap"] for row in rows_of(chart.spec)[::2]] == ["1 bit", "none", "noise 4"]


def test_the_paper_is_equal_bytes_of_text_on_few_pages(root: Path, tmp_path: Path) -> None:
    """In another process, with other hashes of texts."""
    first = paper(root, tmp_path / "one.pdf")
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", PAPER, str(root), str(tmp_path / "two.pdf")], check=True, env=environment, timeout=300)
    assert first == (tmp_path / "two.pdf").read_bytes()
    assert first.startswith(b"%PDF-")
    assert b"CreationDate" not in first
    assert b"/Subtype/Type3" not in first
    assert 2 <= len(re.findall(rb"/Type ?/Page\b", first)) <= 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.pdf", "two.pdf"]
