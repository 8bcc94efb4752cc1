"""The page's first answers: best at each depth, by how much, how sure, what an embedding gives away."""

import re
from pathlib import Path

from relume.core.files import read_csv, write_csv
from relume.report.config import Report
from relume.report.data import read
from relume.report.depth import depths
from relume.report.leaderboards import Leaderboard, leaderboards
from relume.report.page import render
from relume.report.summaries import leak, margin, summaries
from tests.contract_files import COMPARISONS, GROUPS, LEADERBOARD, write
from tests.report_files import folders

FOUND = {"reid_net": "eye pool", "reid_n": "40"}
TAPS = {("d", "net"): ["a", "b"]}


def line(**cells: str) -> dict[str, str]:
    row = dict.fromkeys(LEADERBOARD, "") | {
        "family": "optimise",
        "task": "feature",
        "oracle": "false",
        "dataset": "d",
        "size": "32",
    }
    return row | {"n": "4", "sources": "2", "network": "net"} | cells


def pairing(a: str, b: str, tap: str, diff: float, lo: float, hi: float) -> dict[str, str]:
    same = {"metric": "psnr", "dataset": "d", "size": "32", "network": "net", "tap": tap, "n": "4", "sources": "2"}
    return dict.fromkeys(COMPARISONS, "") | same | {"a": a, "b": b, "diff": str(diff), "lo": str(lo), "hi": str(hi)}


def board() -> Leaderboard:
    rows = [
        line(method="mean", family="floor", network="", psnr="10"),
        line(method="x", tap="a", psnr="20", lpips_vgg="0.3", reid_top1="0.5", **FOUND),
        line(method="y", tap="a", psnr="19", lpips_vgg="0.2", reid_top1="0.75", **FOUND),
        line(
            method="cheat", tap="a", psnr="40", oracle="true", lpips_vgg="0.01", reid_top1="1", reid_net="eye pool", reid_n="40"
        ),
        line(method="z", tap="b", psnr="10.5", lpips_vgg="0.9"),
    ]
    return leaderboards(rows)[0]


PAIRS = [pairing("x", "mean", "a", 10, 8, 12), pairing("z", "mean", "b", 0.5, -1, 2), pairing("y", "x", "a", -1, -3, 0.5)]


def test_best_and_margins_by_hand() -> None:
    (answer,) = summaries(board(), depths(board(), TAPS), PAIRS)
    first, last = answer.depths
    assert (first.result.method, last.result.method) == ("x", "z")
    assert first.gain is not None
    assert (first.gain.diff, first.gain.interval, first.gain.decision) == (10, "8.0 to 12.0", "significant")
    assert first.runner_up is not None
    ahead = first.runner_up
    assert (ahead.other.method, ahead.diff, ahead.lo, ahead.hi, ahead.decision) == ("y", 1, -0.5, 3, "undecided")
    assert first.best_lpips is not None
    assert first.best_lpips.method == "y", "the oracle is not asked"
    assert last.runner_up is None
    assert last.leak is None
    assert first.leak is not None
    assert (first.leak.result.method, first.leak.share, first.leak.chance) == ("y", 0.75, 1 / 40)


def test_sentences_say_what_is_shown_and_what_is_not() -> None:
    (answer,) = summaries(board(), depths(board(), TAPS), PAIRS)
    ends, sure, contest, given = answer.sentences
    assert ends == "Inversions reach 20.00 dB at a (x) and 10.50 dB at b (z), the deepest inverted tap."
    assert sure == "The best method is significantly above the no-information baseline (mean) at a; at b this is not shown."
    assert contest == "Where several methods were run: at a x is 1.00 dB ahead of y (undecided), but by LPIPS y is best."
    assert "0.50 dB above the no-information baseline, undecided (\N{MINUS SIGN}1.0 to 2.0)" in given
    assert "was not measured" in given


def test_what_was_not_paired_is_not_called_sure() -> None:
    x, y = (one for one in board().methods if one.method in "xy")
    assert (margin(x, y, []).diff, margin(x, y, []).decision) == (1, "not paired")


def test_the_inverted_network_is_no_witness() -> None:
    (one,) = leaderboards([line(method="x", psnr="1", network="vgg16_conv", reid_top1="1", reid_net="vgg16 conv5_3", reid_n="9")])
    assert leak(one.methods) is None


def test_further_columns_are_shown_and_re_identification_is_told(tmp_path: Path) -> None:
    path = write(tmp_path) / "metrics/leaderboard.csv"
    rows = [row | {"feature_error_vgg16_conv5_3": "0.4321", "top1_agreement": "0.25"} for row in read_csv(path)]
    for row in rows:
        row |= {"reid_top1": "0.5", "reid_net": "efficientnet_lite0 pool", "reid_n": "40"}
    write_csv(path, tuple(rows[0]), rows)
    page = render(read(folders(tmp_path), GROUPS), Report(pictures=1), 0.95)
    assert len(re.findall(r'data-column="(?:feature_error_vgg16_conv5_3|top1_agreement|reid_top1)"', page)) == 3
    assert "50% of deep&#39;s images are re-identified among 40 by efficientnet_lite0 pool (chance 2.5%)" in page
    assert 'data-value="0.4321">0.432' in page
