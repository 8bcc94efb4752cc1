"""What the page says is computed from the tables: sentences, bests, brackets, verdicts, and what a table may lack."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from relume.core.errors import UserError
from relume.core.files import read_csv, write_csv
from relume.report.charts import forest, panels
from relume.report.columns import COLUMNS, circular, column
from relume.report.data import ReportData, read
from relume.report.findings import findings, headline, read_comparison
from relume.report.images import pick
from relume.report.leaderboards import leaderboards
from relume.report.page import shown
from tests.contract_files import COMPARISONS, GROUPS, LEADERBOARD, MASKED, write
from tests.report_files import folders


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def data(files: Path) -> ReportData:
    return material_of(files)


def material_of(root: Path) -> ReportData:
    return read(folders(root), GROUPS)


def line(**cells: str) -> dict[str, str]:
    row = dict.fromkeys(LEADERBOARD, "") | {
        "family": "optimise",
        "task": "feature",
        "oracle": "false",
        "dataset": "d",
        "size": "32",
    }
    return row | {"n": "4", "sources": "2"} | cells


FLOORS = [
    line(method="mean", family="floor", psnr="12"),
    line(method="own", family="floor", oracle="true", psnr="13"),
    line(method="blocks", family="floor", oracle="true", psnr="17"),
]


def comparison(**cells: str) -> dict[str, str]:
    return dict.fromkeys(COMPARISONS, "") | {"a": "x", "b": "y", "metric": "psnr", "dataset": "d", "size": "32"} | cells


def test_floors_stand_in_every_board_of_their_pictures() -> None:
    found = leaderboards(
        [*FLOORS, line(method="x", psnr="15"), line(method="g", task="image", psnr="20"), line(method="z", size="64", psnr="1")]
    )
    assert [(board.task, board.size, len(board.baselines)) for board in found] == [
        ("feature", "32", 3),
        ("image", "32", 3),
        ("feature", "64", 0),
    ]
    assert [one.method for one in found[0].rows] == ["blocks", "x", "own", "mean"]


def test_only_floors_are_a_board_too() -> None:
    (board,) = leaderboards(FLOORS)
    assert board.no_information is not None
    assert board.no_information.method == "mean"
    assert headline([board]) == "No method has been measured yet, only baselines"
    assert [one.method for one in shown(board)] == ["blocks", "own", "mean"]


def test_headline_names_the_best_that_saw_only_features() -> None:
    rows = [
        line(method="x", tap="conv3", network="net", psnr="15.04"),
        line(method="cheat", oracle="true", psnr="30", network="net"),
    ]
    assert (
        headline(leaderboards([*FLOORS, *rows])) == "x inverts conv3 of net at 15.0 dB, 3.0 dB above the no-information baseline"
    )
    assert "below the no-information baseline" in headline(leaderboards([*FLOORS, line(method="x", psnr="9")]))


def test_a_finding_says_how_sure_it_is() -> None:
    x = line(method="x", psnr="15", psnr_lo="14", psnr_hi="16")
    (board,) = leaderboards([*FLOORS, x])
    (plain,) = findings(board, [], 0.95)
    assert "95% interval 14.0 to 16.0 dB, n = 4 from 2 sources" in plain.text
    assert "no paired comparison" in plain.text
    assert "between own (13.0 dB) and blocks (17.0 dB)" in plain.text
    (sure,) = findings(board, [comparison(b="mean", diff="3", lo="2", hi="4")], 0.95)
    assert "2.0 to 4.0 dB, which excludes zero" in sure.text
    (open_,) = findings(board, [comparison(b="mean", diff="3", lo="-1", hi="7")], 0.95)
    assert "\N{MINUS SIGN}1.0 to 7.0 dB, which includes zero" in open_.text


def test_the_ladder_has_two_ends() -> None:
    def text(psnr: str) -> str:
        (board,) = leaderboards([*FLOORS, line(method="x", psnr=psnr)])
        return findings(board, [], 0.95)[0].text

    assert "above every oracle baseline; the best is blocks (17.0 dB)" in text("18")
    assert "below every oracle baseline; the lowest is own (13.0 dB)" in text("11")


@pytest.mark.parametrize(
    ("cells", "winner", "words"),
    [
        ({"diff": "2", "lo": "1", "hi": "3"}, "a", "x is better than y by 2.00 dB; the interval excludes zero"),
        ({"diff": "-2", "lo": "-3", "hi": "-1"}, "b", "y is better than x by 2.00 dB"),
        ({"diff": "2", "lo": "-1", "hi": "5"}, "", "includes zero: undecided"),
        ({"metric": "lpips_vgg", "diff": "-0.2", "lo": "-0.3", "hi": "-0.1"}, "a", "x is better than y by 0.200;"),
        ({"metric": "lpips_vgg", "network": "vgg16_conv", "diff": "-0.2", "lo": "-0.3", "hi": "-0.1"}, "", "no evidence"),
        ({"diff": "2", "sources": "1"}, "", "one source only, so no interval"),
        ({"diff": "2", "sources": "5"}, "", "no interval, so undecided"),
        ({}, "", "no common images"),
    ],
)
def test_verdicts(cells: dict[str, str], winner: str, words: str) -> None:
    found = read_comparison(comparison(**cells))
    assert found.winner == winner
    assert words in found.text


def test_a_circular_metric_has_no_best_method() -> None:
    (board,) = leaderboards(
        [
            line(method="x", psnr="15", lpips_vgg="0.1", network="vgg16_conv"),
            line(method="y", psnr="14", lpips_vgg="0.3", network="z"),
        ]
    )
    best = board.best_by(COLUMNS["lpips_vgg"])
    assert best is not None
    assert best.method == "y"
    assert circular(COLUMNS["lpips_alex"], "vgg16+alexnet")
    assert not circular(COLUMNS["psnr"], "alexnet")


def test_columns_without_a_value_are_named_and_those_alike_are_told() -> None:
    (board,) = leaderboards(
        [line(method="x", psnr="15", network="net", device="cpu"), line(method="y", psnr="14", network="net", device="cpu")]
    )
    names = [one.name for one in board.columns]
    assert names == ["method", "psnr", "n", "sources"]
    assert board.shared == [("Network", "net"), ("Device", "cpu")]
    assert "SSIM" in board.unmeasured


def test_every_column_of_the_contract_is_known() -> None:
    shown_within_others = {
        "family",
        "task",
        "oracle",
        "dataset",
        "size",
        "psnr_lo",
        "psnr_hi",
        "psnr_masked_lo",
        "psnr_masked_hi",
    }
    assert {*LEADERBOARD, *MASKED} - shown_within_others <= set(COLUMNS)
    assert column("something_new").show("0.12345") == "0.123"
    assert column("seconds_per_image").show("0.000234") == "0.00023"
    assert column("psnr").show("-1.5") == "\N{MINUS SIGN}1.50"
    assert column("psnr").show("") == ""


def test_pictures_are_spread_over_sources(data: ReportData) -> None:
    (board,) = leaderboards(data.leaderboard)
    chosen = pick(data, board, 5)
    sources = [data.originals["photos"].sources[id] for id in chosen]
    assert sources == ["astronaut", "coffee", "rocket", "astronaut", "coffee"]
    assert len(pick(data, board, 100)) == len(set(pick(data, board, 100))) == 12


def test_ranked_pictures_are_those_that_the_objective_chose(tmp_path: Path) -> None:
    write(tmp_path)
    index = tmp_path / "data/reconstructions/deep/index.csv"
    rows = read_csv(index)
    write_csv(index, tuple(rows[0]), [{**row, "selected": "true" if number else "false"} for number, row in enumerate(rows)])
    (entry,) = [entry for key, entry in material_of(tmp_path).entries.items() if key[0] == "deep"]
    assert len(entry.rows) == len(rows) - 1


def test_charts_stay_within_their_frame(data: ReportData) -> None:
    (board,) = leaderboards(data.leaderboard)
    chart = forest(board)
    places = [float(part.split('%"')[0]) for _, bar in chart.rows for part in bar.split('x1="')[1:] + bar.split('cx="')[1:]]
    assert min(places) >= 0
    assert max(places) <= 100
    drawn = panels(data.traces["deep"])
    assert [panel.title for panel in drawn] == ["objective", "feature", "tv"]
    assert [panel.logarithmic for panel in drawn] == [False, True, False]
    points = np.array([[float(x) for x in pair.split(",")] for pair in drawn[1].svg.split('points="')[1].split('"')[0].split()])
    assert points.shape == (31, 2)
    assert (points >= 0).all()
    assert (points <= 100).all()


def test_a_missing_group_and_an_old_leaderboard_are_named(files: Path, tmp_path: Path) -> None:
    shutil.copytree(files, tmp_path / "old")
    with pytest.raises(UserError, match="run compare again"):
        read(folders(tmp_path / "old"), ["floors", "deep"])
    with pytest.raises(UserError, match="absent"):
        read(folders(tmp_path / "old"), ["absent"])
