"""What the page says is computed from the tables: boards, answers, findings, verdicts, charts, and what a table may lack."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from relume.core.errors import UserError
from relume.core.files import read_csv, write_csv
from relume.report.charts import forest, panels
from relume.report.columns import COLUMNS, circular, column
from relume.report.config import Report
from relume.report.data import ReportData, read
from relume.report.depth import depths
from relume.report.findings import findings, headline, read_comparison
from relume.report.images import pick
from relume.report.leaderboards import Leaderboard, leaderboards
from relume.report.page import render, shown
from relume.report.summaries import leak, margin, summaries
from tests.contract_files import GROUPS, LEADERBOARD, MASKED, write
from tests.report_files import FLOORS, comparison, folders, line

REID = {"reid_net": "eye pool", "reid_n": "40"}
TAPS = {("d", "net"): ["a", "b"]}
PAIRS = [
    comparison(a=a, b=b, network="net", tap=tap, n="4", sources="2", diff=diff, lo=lo, hi=hi)
    for a, b, tap, diff, lo, hi in (
        ("x", "mean", "a", "10", "8", "12"),
        ("z", "mean", "b", "0.5", "-1", "2"),
        ("y", "x", "a", "-1", "-3", "0.5"),
    )
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def data(files: Path) -> ReportData:
    return read(folders(files), GROUPS)


@pytest.fixture
def board() -> Leaderboard:
    rows = [
        line(method="mean", family="floor", psnr="10"),
        line(method="x", network="net", tap="a", psnr="20", lpips_vgg="0.3", reid_top1="0.5", **REID),
        line(method="y", network="net", tap="a", psnr="19", lpips_vgg="0.2", reid_top1="0.75", **REID),
        line(method="cheat", network="net", tap="a", psnr="40", oracle="true", lpips_vgg="0.01", reid_top1="1", **REID),
        line(method="z", network="net", tap="b", psnr="10.5", lpips_vgg="0.9"),
    ]
    return leaderboards(rows)[0]


def test_best_and_margins_by_hand(board: Leaderboard) -> None:
    (answer,) = summaries(board, depths(board, TAPS), PAIRS)
    first, last = answer.depths
    assert (first.result.method, last.result.method) == ("x", "z")
    assert first.gain is not None
    assert first.runner_up is not None
    assert first.best_lpips is not None
    assert first.leak is not None
    assert (first.gain.diff, first.gain.interval, first.gain.decision) == (10, "8.0 to 12.0", "significant")
    assert (first.runner_up.other.method, first.runner_up.diff, first.runner_up.lo, first.runner_up.hi) == ("y", 1, -0.5, 3)
    assert first.runner_up.decision == "undecided"
    assert first.best_lpips.method == "y", "the oracle is not asked"
    assert (first.leak.result.method, first.leak.share, first.leak.chance) == ("y", 0.75, 1 / 40)
    assert (last.runner_up, last.leak) == (None, None)
    ends, sure, contest, given = answer.sentences
    for sentence, numbers in ((ends, "20.00 10.50"), (sure, "mean a b"), (contest, "1.00 x y"), (given, "0.50 undecided 2.0")):
        assert set(numbers.split()) <= set(re.findall(r"[\d.]*\d|\w+", sentence))


def test_what_was_not_paired_is_not_called_sure(board: Leaderboard) -> None:
    x, y = (one for one in board.methods if one.method in "xy")
    assert (margin(x, y, []).diff, margin(x, y, []).decision) == (1, "not paired")


def test_the_inverted_network_is_no_witness() -> None:
    (one,) = leaderboards([line(method="x", psnr="1", network="vgg16_conv", reid_top1="1", reid_net="vgg16 conv5_3", reid_n="9")])
    assert leak(one.methods) is None


def test_further_columns_are_shown_and_re_identification_is_told(tmp_path: Path) -> None:
    path = write(tmp_path) / "metrics/leaderboard.csv"
    told = {"feature_error_vgg16_conv5_3": "0.4321", "top1_agreement": "0.25", "reid_top1": "0.5", **REID}
    rows = [row | told for row in read_csv(path)]
    write_csv(path, tuple(rows[0]), rows)
    page = render(read(folders(tmp_path), GROUPS), Report(pictures=1), 0.95)
    assert len(re.findall(r'data-column="(?:feature_error_vgg16_conv5_3|top1_agreement|reid_top1)"', page)) == 3
    assert "50% of deep" in page
    assert 'data-value="0.4321">0.432' in page


def test_floors_stand_in_every_board_of_their_pictures() -> None:
    others = [line(method="x", psnr="15"), line(method="g", task="image", psnr="20"), line(method="z", size="64", psnr="1")]
    found = leaderboards([*FLOORS, *others])
    places = [(board.task, board.size, len(board.baselines)) for board in found]
    assert places == [("feature", "32", 3), ("image", "32", 3), ("feature", "64", 0)]
    assert [one.method for one in found[0].rows] == ["blocks", "x", "own", "mean"]
    (alone,) = leaderboards(FLOORS)
    assert alone.no_information is not None
    assert alone.no_information.method == "mean"
    assert headline([alone]), "only floors are a board too"
    assert [one.method for one in shown(alone)] == ["blocks", "own", "mean"]


def test_headline_names_the_best_that_saw_only_features() -> None:
    cheat = line(method="cheat", oracle="true", psnr="30", network="net")
    told = headline(leaderboards([*FLOORS, line(method="x", tap="conv3", network="net", psnr="15.04"), cheat]))
    assert all(part in told for part in ("x inverts conv3 of net", "15.0 dB", "3.0 dB"))
    assert "cheat" not in told
    assert "below" in headline(leaderboards([*FLOORS, line(method="x", psnr="9")]))


def test_a_finding_says_how_sure_it_is() -> None:
    (board,) = leaderboards([*FLOORS, line(method="x", psnr="15", psnr_lo="14", psnr_hi="16")])
    (plain,) = findings(board, [], 0.95)
    assert all(part in plain.text for part in ("95%", "14.0 to 16.0 dB, n = 4", "own (13.0 dB)", "blocks (17.0 dB)"))
    (sure,) = findings(board, [comparison(b="mean", diff="3", lo="2", hi="4")], 0.95)
    assert "2.0 to 4.0 dB, which excludes zero" in sure.text
    (open_,) = findings(board, [comparison(b="mean", diff="3", lo="-1", hi="7")], 0.95)
    assert "\N{MINUS SIGN}1.0 to 7.0 dB, which includes zero" in open_.text
    for psnr, floor in (("18", "blocks (17.0 dB)"), ("11", "own (13.0 dB)")):  # above the ladder of floors, and below it
        (board,) = leaderboards([*FLOORS, line(method="x", psnr=psnr)])
        assert floor in findings(board, [], 0.95)[0].text


@pytest.mark.parametrize(
    ("cells", "winner", "words"),
    [
        ({"diff": "2", "lo": "1", "hi": "3"}, "a", "2.00 dB"),
        ({"diff": "-2", "lo": "-3", "hi": "-1"}, "b", "y is better than x"),
        ({"diff": "2", "lo": "-1", "hi": "5"}, "", "undecided"),
        ({"metric": "lpips_vgg", "diff": "-0.2", "lo": "-0.3", "hi": "-0.1"}, "a", "0.200"),
        ({"metric": "lpips_vgg", "network": "vgg16_conv", "diff": "-0.2", "lo": "-0.3", "hi": "-0.1"}, "", "no evidence"),
        ({"diff": "2", "sources": "1"}, "", "no interval"),
        ({"diff": "2", "sources": "5"}, "", "undecided"),
        ({}, "", "no common"),
    ],
)
def test_verdicts(cells: dict[str, str], winner: str, words: str) -> None:
    found = read_comparison(comparison(**cells))
    assert found.winner == winner
    assert words in found.text


def test_a_circular_judge_crowns_nobody() -> None:
    own = line(method="x", psnr="15", lpips_vgg="0.1", network="vgg16_conv")
    (board,) = leaderboards([own, line(method="y", psnr="14", lpips_vgg="0.3", network="z")])
    best = board.best_by(COLUMNS["lpips_vgg"])
    assert best is not None
    assert best.method == "y"
    assert circular(COLUMNS["lpips_alex"], "vgg16+alexnet")
    assert not circular(COLUMNS["psnr"], "alexnet")


def test_columns_are_known_those_without_a_value_named_and_those_alike_told() -> None:
    alike = {"network": "net", "device": "cpu"}
    (board,) = leaderboards([line(method="x", psnr="15", **alike), line(method="y", psnr="14", **alike)])
    assert [one.name for one in board.columns] == ["method", "psnr", "n", "sources"]
    assert board.shared == [("Network", "net"), ("Device", "cpu")]
    assert "SSIM" in board.unmeasured
    within_others = {"family", "task", "oracle", "dataset", "size", "psnr_lo", "psnr_hi", "psnr_masked_lo", "psnr_masked_hi"}
    assert {*LEADERBOARD, *MASKED} - within_others <= set(COLUMNS)
    cells = (("something_new", "0.12345"), ("seconds_per_image", "0.000234"), ("psnr", "-1.5"), ("psnr", ""))
    assert [column(name).show(cell) for name, cell in cells] == ["0.123", "0.00023", "\N{MINUS SIGN}1.50", ""]


def test_pictures_are_spread_over_sources(data: ReportData) -> None:
    (board,) = leaderboards(data.leaderboard)
    sources = [data.originals["photos"].sources[id] for id in pick(data, board, 5)]
    assert sources == ["astronaut", "coffee", "rocket", "astronaut", "coffee"]
    assert len(pick(data, board, 100)) == len(set(pick(data, board, 100))) == 12


def test_ranked_pictures_are_those_that_the_objective_chose(tmp_path: Path) -> None:
    write(tmp_path)
    index = tmp_path / "data/reconstructions/deep/index.csv"
    rows = read_csv(index)
    write_csv(index, tuple(rows[0]), [{**row, "selected": "true" if number else "false"} for number, row in enumerate(rows)])
    (entry,) = [entry for key, entry in read(folders(tmp_path), GROUPS).entries.items() if key[0] == "deep"]
    assert len(entry.rows) == len(rows) - 1


def test_charts_stay_within_their_frame(data: ReportData) -> None:
    (board,) = leaderboards(data.leaderboard)
    places = [float(x) for _, bar in forest(board).rows for x in re.findall(r'(?:x1|cx)="([-\d.]+)%"', bar)]
    assert 0 <= min(places) <= max(places) <= 100
    drawn = panels(data.traces["deep"])
    assert [(panel.title, panel.logarithmic) for panel in drawn] == [("objective", False), ("feature", True), ("tv", False)]
    points = np.array([[float(x) for x in pair.split(",")] for pair in drawn[1].svg.split('points="')[1].split('"')[0].split()])
    assert points.shape == (31, 2)
    assert 0 <= points.min() <= points.max() <= 100


def test_a_missing_group_and_an_old_leaderboard_are_named(files: Path, tmp_path: Path) -> None:
    shutil.copytree(files, tmp_path / "old")
    with pytest.raises(UserError, match="run compare"):
        read(folders(tmp_path / "old"), ["floors", "deep"])
    with pytest.raises(UserError, match="absent"):
        read(folders(tmp_path / "old"), ["absent"])
