"""The page's section on descents: numbers by hand, seconds per picture and start, nothing where there is no such group."""

from pathlib import Path

import numpy as np
import pytest

from relume.core.files import write_csv
from relume.core.results import Group, Row, read_group, run_folder, write_group
from relume.evaluation.curves import CURVES
from relume.report.config import Report
from relume.report.data import read
from relume.report.landscape import COLUMNS, LandscapeGroup, section, table
from relume.report.page import render
from tests.contract_files import GROUPS, write
from tests.report_files import folders


def write_landscapes(folder: Path) -> Group:
    """Two pictures; two starts of plain, three steps, one of landscape, one step."""
    rows = [Row(method="plain", family="latent", task="image", oracle=False, id="a", dataset="photos", size=8)]
    timing = [{"method": "plain", "step": step, "seconds": 4.0 * (step + 1)} for step in range(4)]
    timing += [{"method": "landscape", "step": step, "seconds": 3.0 * (step + 1)} for step in range(2)]
    write_group(folder, images=np.zeros((1, 8, 8, 3), np.uint8), rows=rows, method={"config": {}, "device": "cpu"}, timing=timing)
    losses = {"plain": [0.8, 0.6, 0.5, 0.45], "landscape": [0.7, 0.5]}
    curves: list[dict[str, object]] = [
        {"method": name, "step": step, "value": loss, "lo": loss - 0.1, "hi": loss + 0.1, "level": 0.9, "n": 2, "sources": 2}
        for name, values in losses.items()
        for step, loss in enumerate(values)
    ]
    curves += [{"method": "plain", "seed": seed, "step": 0, "value": 0.8, "n": 2} for seed in (0, 1)]
    curves += [{"method": "landscape", "seed": 0, "step": 0, "value": 0.7, "n": 2}]
    write_csv(folder / "curves.csv", CURVES, curves)
    return read_group(folder)


@pytest.fixture
def one(tmp_path: Path) -> LandscapeGroup:
    (found,) = section([write_landscapes(tmp_path / "pictures")])
    return found


def test_what_is_said_is_what_was_measured(one: LandscapeGroup) -> None:
    assert one.sentences == [
        "plain reaches a loss of 0.45 in 3 steps",
        "landscape reaches 0.5 in 1 steps; plain needs 2 steps for it",
    ]
    assert [place.seconds for place in one.curves["plain"]] == [1, 2, 3, 4], "of two pictures from two starts"
    assert [place.seconds for place in one.curves["landscape"]] == [1.5, 3]
    assert (one.n, one.sources, one.level, one.methods) == ("2", "2", "90%", ["plain", "landscape"])


def test_charts_share_their_axes(one: LandscapeGroup) -> None:
    over_steps, over_seconds = one.panels
    assert (over_steps.top, over_steps.bottom, over_steps.last) == ("0.9", "0.35", "3 steps")
    assert over_seconds.last == "4 s per image"
    assert over_steps.svg.count("polyline") == over_steps.svg.count("polygon") == 2
    assert "33.33," in over_steps.svg
    assert "75.00," in over_seconds.svg


def test_its_table(one: LandscapeGroup) -> None:
    rows = table([one])
    assert len(rows) == 6
    assert tuple(rows[0]) == COLUMNS
    assert (rows[-1]["method"], rows[-1]["loss"], rows[-1]["lo"]) == ("landscape", 0.5, pytest.approx(0.4))


def test_the_page_shows_it_where_it_is(tmp_path: Path) -> None:
    write(tmp_path)
    config = Report(pictures=1)
    assert 'id="landscape"' not in render(read(folders(tmp_path), list(GROUPS)), config, 0.95)
    shallow = tmp_path / "data/reconstructions/shallow"
    made = write_landscapes(tmp_path / "made")
    (shallow / "curves.csv").write_text((made.folder / "curves.csv").read_text())
    (run_folder(shallow) / "timing.csv").write_text((made.folder / "timing.csv").read_text())
    page = render(read(folders(tmp_path), list(GROUPS)), config, 0.95)
    assert 'id="landscape"' in page
    assert "plain needs 2 steps for it" in page
    assert page.count('class="band') == 4
