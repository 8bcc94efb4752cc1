"""The page's section on feature maps: what it says and draws is what stands in the stage's files."""

import re
from pathlib import Path

import pytest

from relume.core.errors import UserError
from relume.core.files import read_csv, write_csv
from relume.evaluation.maps_table import columns
from relume.report.columns import COLUMNS
from relume.report.config import Report
from relume.report.data import read
from relume.report.maps import MapsStudy, change, decoding, section
from relume.report.page import render
from tests.contract_files import GROUPS, MAPS, write
from tests.report_files import folders, write_maps


@pytest.fixture
def one(tmp_path: Path) -> MapsStudy:
    (found,) = section(write_maps(tmp_path))
    return found


def places(svg: str, kind: str) -> list[float]:
    return [float(value) for value in re.findall(rf'{kind}="([\d.]+)%"', svg)]


def test_the_made_up_table_has_the_columns_of_the_stage() -> None:
    assert columns(("psnr", "lpips_alex")) == MAPS


def test_what_is_said_is_what_was_measured(one: MapsStudy) -> None:
    assert one.name == "alexnet_conv3"
    assert (one.metric.name, [metric.name for metric in one.columns]) == ("psnr", ["psnr", "lpips_alex"])
    activation, contribution = one.rankings
    assert activation.text == "The strongest 4 of 8 maps by activation alone reach 17.00 of 20.00 dB"
    assert contribution.text == "The strongest 4 of 8 maps by contribution alone reach 20.25 of 20.00 dB"
    assert [(removal.change, removal.interval) for removal in contribution.removals] == [
        ("−6.00", "−7.00 to −5.00"),
        ("+0.25", "−0.75 to 1.25"),
    ]
    assert one.curves.description == (
        "PSNR, dB with the strongest 4 to 8 maps kept: by activation from 17.00 to 20.00; by contribution from 20.25 to 20.00"
    )


def test_bars_share_one_axis_that_holds_zero(one: MapsStudy) -> None:
    """Ticks go from -8 to 2 by 2: a change of -3 stands half-way."""
    bars = [removal.bar for ranking in one.rankings for removal in ranking.removals]
    assert [places(bar, "cx") for bar in bars] == [[50.0], [50.0], [21.2], [81.2]]
    assert {tuple(places(re.findall(r'<line class="baseline-line"[^>]*>', bar)[0], "x1")) for bar in bars} == {(78.8,)}
    assert re.findall(r">([^<]+)</text>", one.axis) == ["−8", "−6", "−4", "−2", "0", "2"]


def test_words_of_the_table(one: MapsStudy) -> None:
    assert [decoding(row) for row in one.table[:3]] == ["all maps", "activation: without group 1", "activation: without group 2"]
    assert change(one.table[0], COLUMNS["psnr"]) == ""
    assert change(one.table[1], COLUMNS["psnr"]) == "−3.00 (−4.00 to −2.00)"
    assert change(one.table[1], COLUMNS["lpips_alex"]) == "+0.100", "a circular judge has no interval"


def test_without_maps_the_page_has_no_such_section(tmp_path: Path) -> None:
    write(tmp_path)
    pages = []
    for _ in range(2):
        pages.append(render(read(folders(tmp_path), GROUPS), Report(pictures=1), 0.95))
        write_maps(tmp_path)
    assert ["#maps" in page for page in pages] == [False, True]
    assert 'href="#maps"' in pages[1]
    assert "by contribution" in pages[1]


def test_another_metric_where_there_is_no_psnr(tmp_path: Path) -> None:
    folder = write_maps(tmp_path)
    rows = [{key: value for key, value in row.items() if not key.startswith("psnr")} for row in read_csv(folder / "maps.csv")]
    write_csv(folder / "maps.csv", tuple(rows[0]), rows)
    (found,) = section(folder)
    assert found.metric.name == "lpips_alex"
    assert {removal.interval for ranking in found.rankings for removal in ranking.removals} == {""}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = write_maps(tmp_path)
    (folder / "alexnet_conv3.jpg").unlink()
    with pytest.raises(UserError, match=r"alexnet_conv3\.jpg is missing: the stage that writes it has not run"):
        section(folder)
    with pytest.raises(UserError, match=r"maps\.csv is missing"):
        section(tmp_path)
