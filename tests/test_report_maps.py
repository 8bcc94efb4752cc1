"""The page's section on feature maps: what it says and draws is what stands in the stage's files."""

import re
from pathlib import Path

import pytest

from relume.core.errors import UserError
from relume.core.files import read_csv, write_csv
from relume.evaluation.maps_table import columns
from relume.report.columns import COLUMNS
from relume.report.maps import Dissected, change, decoding, section
from tests.contract_files import MAPS
from tests.report_files import write_maps


@pytest.fixture
def one(tmp_path: Path) -> Dissected:
    (found,) = section(write_maps(tmp_path))
    return found


def places(svg: str, kind: str) -> list[float]:
    return [float(value) for value in re.findall(rf'{kind}="([\d.]+)%"', svg)]


def test_the_made_up_table_has_the_columns_of_the_stage() -> None:
    assert columns(("psnr", "lpips_alex")) == MAPS


def test_what_is_said_is_what_was_measured(one: Dissected) -> None:
    assert (one.name, one.place, one.n, one.sources) == ("alexnet_conv3", "conv3 of alexnet_conv", "4", "2")
    assert (one.metric.name, [metric.name for metric in one.columns]) == ("psnr", ["psnr", "lpips_alex"])
    for ranking, gives in zip(one.rankings, ("17.00", "20.25"), strict=True):
        assert f"4 of 8 maps by {ranking.name} alone give {gives} of 20.00 dB" in ranking.enough
    cuts = [(cut.change, cut.interval) for cut in one.rankings[1].cuts]
    assert cuts == [("−6.00", "−7.00 to −5.00"), ("+0.25", "−0.75 to 1.25")]
    assert all(part in one.curves.says for part in ("from 17.00 to 20.00", "from 20.25 to 20.00"))


def test_bars_share_one_axis_that_holds_zero(one: Dissected) -> None:
    """Ticks go from -8 to 2 by 2: a change of -3 stands half-way."""
    bars = [cut.bar for ranking in one.rankings for cut in ranking.cuts]
    assert [places(bar, "cx") for bar in bars] == [[50.0], [50.0], [21.2], [81.2]]
    assert {tuple(places(re.findall(r'<line class="floor-line"[^>]*>', bar)[0], "x1")) for bar in bars} == {(78.8,)}
    assert re.findall(r">([^<]+)</text>", one.axis) == ["−8", "−6", "−4", "−2", "0", "2"]


def test_words_of_the_table(one: Dissected) -> None:
    assert len({decoding(row) for row in one.table}) == len(one.table)
    assert change(one.table[0], COLUMNS["psnr"]) == ""
    assert change(one.table[1], COLUMNS["psnr"]) == "−3.00 (−4.00 to −2.00)"
    assert change(one.table[1], COLUMNS["lpips_alex"]) == "+0.100", "a circular judge has no interval"


def test_another_metric_where_there_is_no_psnr(tmp_path: Path) -> None:
    folder = write_maps(tmp_path)
    rows = [{key: value for key, value in row.items() if not key.startswith("psnr")} for row in read_csv(folder / "maps.csv")]
    write_csv(folder / "maps.csv", tuple(rows[0]), rows)
    (found,) = section(folder)
    assert found.metric.name == "lpips_alex"
    assert {cut.interval for ranking in found.rankings for cut in ranking.cuts} == {""}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = write_maps(tmp_path)
    (folder / "alexnet_conv3.jpg").unlink()
    with pytest.raises(UserError, match=r"alexnet_conv3\.jpg"):
        section(folder)
    with pytest.raises(UserError, match=r"maps\.csv"):
        section(tmp_path)
