"""What the report says is computed from the tables: names, boards, margins, leaks, verdicts, and what a table may lack."""

from pathlib import Path

import pytest

from relume.core.errors import UserError
from relume.core.files import read_csv, write_csv
from relume.report import depths, families, labels
from relume.report.blocks import score
from relume.report.columns import CLASSIFIER, COLUMNS, column
from relume.report.depths import Network, leak, margin, networks, verdict
from relume.report.images import pick
from relume.report.leaderboards import Leaderboard, leaderboards
from tests.contract_files import LEADERBOARD, MASKED, write
from tests.report_files import FLOORS, comparison, data_of, line

REID = {"reid_net": "eye pool", "reid_n": "40"}
TAPS = {("d", "net"): ["a", "b", "c"]}
PAIRS = [
    comparison(a=a, b=b, network="net", tap=tap, n="4", sources="2", diff=diff, lo=lo, hi=hi)
    for a, b, tap, diff, lo, hi in (
        ("x", "mean", "a", "10", "8", "12"),
        ("z", "mean", "b", "0.5", "-1", "2"),
        ("y", "x", "a", "-1", "-3", "0.5"),
    )
]


def board_of(*rows: dict[str, str]) -> Leaderboard:
    return leaderboards(list(rows), families.labels())[0]


@pytest.fixture
def board() -> Leaderboard:
    """At `a` two methods and an oracle, at `b` one."""
    return board_of(
        *FLOORS,
        line(method="floor_blocks_4", family="floor", oracle="true", psnr="16"),
        line(method="x", network="net", tap="a", psnr="20", lpips_vgg="0.4", reid_top1="0.5", **REID),
        line(method="y", network="net", tap="a", psnr="19", lpips_vgg="0.3", reid_top1="0.75", **REID),
        line(method="cheat", network="net", tap="a", psnr="30", lpips_vgg="0.1", oracle="true"),
        line(
            method="z",
            network="net",
            tap="b",
            psnr="10.5",
            lpips_vgg="0.9",
            reid_top1="0.9",
            reid_top1_lo="0.8",
            reid_top1_hi="1",
            **REID,
        ),
    )


@pytest.fixture
def network(board: Leaderboard) -> Network:
    (found,) = networks(board, TAPS, {("d", "net", "a"): [4, 2, 2]}, PAIRS)
    return found


def test_best_and_margins_by_hand(network: Network) -> None:
    first, last = network.depths
    assert (first.best.method, last.best.method) == ("x", "z"), "an oracle is never best"
    assert first.gain is not None
    assert first.runner_up is not None
    assert (first.gain.diff, first.gain.interval, first.gain.decision) == (10, "8.00 to 12.00", "significant")
    ahead = first.runner_up
    assert (ahead.other.method, ahead.diff, ahead.lo, ahead.hi, ahead.decision) == ("y", 1, -0.5, 3, "undecided")
    assert first.best_lpips.method == "y", "the oracle is not asked"
    assert last.runner_up is None
    assert last.gain is not None
    assert last.gain.decision == "undecided"


def test_what_was_not_paired_is_not_called_sure(board: Leaderboard) -> None:
    x, y = (one for one in board.methods if one.method in "xy")
    assert (margin(x, y, []).diff, margin(x, y, []).decision) == (1, "not paired")


def test_leaks_by_hand_and_a_bound_that_never_rises(network: Network) -> None:
    """Features at `b` are computed from those at `a`: who holds `a` can do what the attack on `b` does."""
    first, last = network.depths
    assert first.leak is not None
    assert last.leak is not None
    assert (first.leak.result.method, first.leak.share, first.leak.chance, first.leak.text) == ("y", 0.75, 1 / 40, "75%")
    assert last.leak.text == "90% (80% to 100%)"
    shares = [bound.share for tap in "ab" if (bound := network.bound(tap))]
    assert shares == [0.9, 0.9]
    assert shares == sorted(shares, reverse=True)


def test_the_inverted_network_is_no_witness() -> None:
    board = board_of(line(method="x", psnr="1", network="vgg16_conv", reid_top1="1", reid_net="vgg16 conv5_3", reid_n="9"))
    assert leak(board.methods[0]) is None
    assert depths.leaked(None)


def test_sentences_name_what_they_are_about(network: Network, board: Leaderboard) -> None:
    assert all(part in depths.title([network]) for part in ("net", "a to b"))
    assert all(part in depths.lead(network) for part in ("net b", "10.5 dB", "0.5 dB above", "90% (80% to 100%)"))
    (gains,) = depths.researcher(network)
    assert "at a; no gain shown at b" in gains
    stored, back = depths.walk(network.depths[0], board, pixels=64)
    assert all(part in stored for part in ("4 × 2 × 2 numbers", "25%"))
    assert all(part in back for part in ("20.0 dB", "more than a mosaic of 4 × 4", "50%"))


def test_names_for_people() -> None:
    assert [labels.network(key) for key in ("alexnet_conv", "efficientnet_lite0", "vgg16_conv+resnet50", "vgg16_conv5_3")] == [
        "AlexNet",
        "EfficientNet-Lite0",
        "VGG16 and ResNet-50",
        "VGG16 conv5_3",
    ]
    assert labels.words("floor_blocks_14") == "mosaic of 14 × 14"
    rows = [
        line(method="a_b", network="n", tap="t"),
        line(method="c", network="n", tap="t"),
        line(method="d", network="n", tap="u"),
    ]
    assert labels.methods(rows, {"optimise": "Search"}) == ["Search (a b)", "Search (c)", "Search"]


def test_baselines_stand_in_every_board_of_their_pictures() -> None:
    others = [line(method="x", psnr="15"), line(method="g", task="image", psnr="20"), line(method="z", size="64", psnr="1")]
    found = leaderboards([*FLOORS, *others], {})
    places = [(board.task, board.size, len(board.baselines)) for board in found]
    assert places == [("feature", "32", 3), ("image", "32", 3), ("feature", "64", 0)]
    assert [one.method for one in found[0].rows] == ["blocks", "x", "own", "mean"]
    (alone,) = leaderboards(FLOORS, {})
    assert alone.no_information is not None
    assert alone.no_information.method == "mean"


@pytest.mark.parametrize(
    ("cells", "word"),
    [
        ({"diff": "2", "lo": "1", "hi": "3"}, "better"),
        ({"diff": "-2", "lo": "-3", "hi": "-1"}, "worse"),
        ({"diff": "2", "lo": "-1", "hi": "5"}, "undecided"),
        ({"metric": "lpips_vgg", "diff": "-0.2", "lo": "-0.3", "hi": "-0.1"}, "better"),
        ({"metric": "lpips_vgg", "network": "vgg16_conv", "diff": "-0.2", "lo": "-0.3", "hi": "-0.1"}, "circular"),
        ({"diff": "2", "sources": "1"}, "one source"),
        ({"diff": "2", "sources": "5"}, "no interval"),
        ({}, "no common pictures"),
    ],
)
def test_verdicts(cells: dict[str, str], word: str) -> None:
    assert verdict(comparison(**cells)) == word


def test_a_circular_metric_ranks_nobody() -> None:
    own = line(method="x", psnr="15", lpips_vgg="0.1", network="vgg16_conv")
    best = board_of(own, line(method="y", psnr="14", lpips_vgg="0.3", network="z")).best_by(COLUMNS["lpips_vgg"])
    assert best is not None
    assert best.method == "y"
    assert COLUMNS["lpips_alex"].circular({"network": "vgg16+alexnet"})
    assert not COLUMNS["psnr"].circular({"network": "alexnet"})


def test_a_score_by_the_inverted_network_is_marked() -> None:
    for name, judge in (("top5_agreement", CLASSIFIER), ("kid", "fd_net")):
        fair, own = ({name: "0.5", judge: "efficientnet_lite0", "network": of} for of in ("vgg16", "efficientnet_lite0"))
        assert "†" not in score(COLUMNS[name], fair).text
        assert "†" in score(COLUMNS[name], own).text


def test_a_method_below_the_linear_baseline_of_its_features_is_marked() -> None:
    linear = line(method="floor_linear_conv3", family="floor", psnr="15", network="net", tap="conv3")
    places = {"x": ("14", "conv3"), "y": ("16", "conv3"), "z": ("14", "conv5")}
    rows = [line(method=name, psnr=psnr, network="net", tap=tap) for name, (psnr, tap) in places.items()]
    assert {row.method for row in board_of(linear, *rows).rows if "below linear" in row.marks} == {"x"}


def test_tables_show_what_has_values_and_say_what_is_alike() -> None:
    alike = {"network": "net", "device": "cpu"}
    rows = [
        line(method="x", psnr="15", something_new="0.12345", **alike),
        line(method="y", psnr="14", something_new="1", **alike),
    ]
    found = board_of(*rows).table("95%")
    assert [one.name for one in found.columns] == ["method", "psnr", "something_new", "n", "sources"]
    assert all(part in found.note for part in ("Network: net", "Device: cpu", "SSIM"))
    assert [[cell.text for cell in row[:3]] for row in found.rows] == [
        ["Optimisation (x)", "15.00", "0.123"],
        ["Optimisation (y)", "14.00", "1.000"],
    ]
    assert [row[1].best for row in found.rows] == [True, False]
    within_others = {"family", "task", "oracle", "psnr_lo", "psnr_hi", "psnr_masked_lo", "psnr_masked_hi"}
    assert {*LEADERBOARD, *MASKED} - within_others <= set(COLUMNS)
    cells = (("seconds_per_image", "0.000234"), ("psnr", "-1.5"), ("psnr", ""), ("reid_top1", "0.5"))
    assert [column(name).show(cell) for name, cell in cells] == ["<0.001", "\N{MINUS SIGN}1.50", "", "50%"]


def test_pictures_are_spread_over_sources(tmp_path: Path) -> None:
    data = data_of(write(tmp_path))
    (board,) = leaderboards(data.leaderboard, {})
    ids = pick(data, "photos", [one.key for one in board.rows], 5)
    assert [data.originals("photos").sources[id] for id in ids] == ["astronaut", "coffee", "rocket", "astronaut", "coffee"]


def test_ranked_pictures_are_those_that_the_objective_chose(tmp_path: Path) -> None:
    write(tmp_path)
    index = tmp_path / "data/reconstructions/deep/index.csv"
    rows = read_csv(index)
    write_csv(index, tuple(rows[0]), [{**row, "selected": "true" if number else "false"} for number, row in enumerate(rows)])
    (entry,) = [entry for key, entry in data_of(tmp_path).entries.items() if key[0] == "deep"]
    assert len(entry.rows) == len(rows) - 1


def test_a_missing_group_and_an_old_leaderboard_are_named(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(UserError, match="run compare"):
        data_of(tmp_path, ["floors", "deep"])
    with pytest.raises(UserError, match="absent"):
        data_of(tmp_path, ["absent"])
    stats = tmp_path / "data/features/photos/alexnet_conv/stats.json"
    stats.write_text(stats.read_text().replace("conv5", "other"))
    with pytest.raises(UserError, match=r"stats\.json.*conv5.*extract"):
        data_of(tmp_path)
