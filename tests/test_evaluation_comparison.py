"""The tables: which pictures count, what they cost, who is held against whom, what no claim is made of, what stops by name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relume.core.errors import UserError
from relume.core.files import read_csv
from relume.core.results import Row
from relume.evaluation.comparison import write_tables
from relume.evaluation.config import OWN_MEAN, Compare, Question
from relume.evaluation.evidence import gather
from tests.evaluation_files import row, write_dataset, write_scores

IDS = ("test0", "test1", "test2", "test3")  # of two photographs
Table = list[dict[str, str]]


def numbers(psnr: float, at: int) -> dict[str, float]:
    """A picture's scores; every picture is a little harder than the one before."""
    return {"psnr": psnr - at, "ssim": psnr / 40, "lpips_alex": 1 - psnr / 40, "lpips_vgg": 1 - psnr / 50 + at / 100}


def method(root: Path, group: str, *methods: tuple[str, float, dict[str, Any]]) -> None:
    rows, scores = [], []
    for name, psnr, other in methods:
        ids = other.pop("ids", IDS)
        rows += [row(name, id, **other) for id in ids]
        scores += [numbers(psnr, at) for at in range(len(ids))]
    write_scores(root, group, rows, scores)


def floor(name: str, psnr: float, *, oracle: bool = False) -> tuple[str, float, dict[str, Any]]:
    return name, psnr, {"family": "floor", "network": "", "tap": "", "oracle": oracle}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "data" / "images" / "toy")
    method(tmp_path, "floors", floor("floor_dataset_mean", 12), floor("floor_mean_picture", 13), floor(OWN_MEAN, 14, oracle=True))
    method(tmp_path, "shallow", ("shallow", 20, {}))
    method(tmp_path, "deep", ("deep", 16, {"network": "efficientnet_lite0", "tap": "stage4"}))
    return tmp_path


def compare(root: Path, groups: tuple[str, ...] = ("floors", "shallow", "deep"), **other: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {"metrics": ("psnr", "lpips_alex"), "questions": {}, "resamples": 1000, "level": 0.95}
    config = Compare(groups=groups, **{**plain, **other})
    folders = {"methods": root / "metrics" / "methods", "reconstructions": root / "data" / "reconstructions"}
    write_tables(root / "metrics", gather(groups, images=root / "data" / "images", **folders), config, 0)
    tables: dict[str, Any] = {name: read_csv(root / "metrics" / f"{name}.csv") for name in ("leaderboard", "comparisons")}
    return {**tables, "summary": json.loads((root / "metrics" / "summary.json").read_text())}


def asked(table: Table, question: str, metric: str) -> dict[str, str]:
    (found,) = [line for line in table if line["question"] == question and line["metric"] == metric]
    return found


def test_the_leaderboard_ranks_and_counts(root: Path):
    board = compare(root)["leaderboard"]
    assert [line["method"] for line in board] == ["shallow", "deep", OWN_MEAN, "floor_mean_picture", "floor_dataset_mean"]
    best = board[0]
    assert (best["n"], best["sources"], best["oracle"], best["device"]) == ("4", "2", "false", "cpu")
    assert float(best["psnr"]) == pytest.approx(20 - 1.5)
    assert float(best["psnr_lo"]) < 18.5 < float(best["psnr_hi"])
    assert float(best["seconds_per_image"]) == 1.5  # 6 s for four pictures
    assert {best[name] for name in ("ms_ssim", "feature_error", "reid_top1", "fd")} == {""}


def test_only_the_chosen_restart_is_ranked_and_all_are_paid_for(root: Path):
    rows: list[Row] = []
    scores = []
    for restart, psnr in ((0, 30.0), (1, 20.0)):
        rows += [row("shallow", id, restart=restart, selected=restart == 1) for id in IDS]
        scores += [numbers(psnr, at) for at in range(4)]
    write_scores(root, "shallow", rows, scores)
    found = compare(root)
    (line,) = [line for line in found["leaderboard"] if line["method"] == "shallow"]
    assert float(line["psnr"]) == 18.5
    assert float(line["seconds_per_image"]) == 1.5
    assert found["summary"]["toy"]["shallow"]["psnr_restarts_sd"] == pytest.approx(np.std([30, 20], ddof=1), abs=1e-3)


def test_every_method_is_held_against_the_best_blind_floor_and_its_mean_colour(root: Path):
    table = compare(root)["comparisons"]
    what = ("the best blind floor", "its mean colour")
    assert {line["question"] for line in table} == {f"{name} against {one}" for name in ("shallow", "deep") for one in what}
    blind = asked(table, "shallow against the best blind floor", "psnr")
    assert (blind["a"], blind["b"], blind["n"], blind["sources"]) == ("shallow", "floor_mean_picture", "4", "2")
    assert [float(blind[name]) for name in ("mean_a", "mean_b", "diff", "lo", "hi")] == [18.5, 11.5, 7, 7, 7]
    assert asked(table, "deep against its mean colour", "psnr")["b"] == OWN_MEAN
    flat = dict.fromkeys(("network", "tap"), "") | {"family": "floor"}
    floors = {"floor_dataset_mean": (12, 0.4), "floor_mean_picture": (13, 0.6)}
    rows = [row(name, id, **flat) for name in floors for id in IDS]
    scores = [{**numbers(psnr, at), "lpips_vgg": lpips} for psnr, lpips in floors.values() for at in range(4)]
    write_scores(root, "floors", rows, scores)
    table = compare(root, metrics=("psnr", "lpips_vgg"))["comparisons"]
    best = [asked(table, "deep against the best blind floor", metric)["b"] for metric in ("psnr", "lpips_vgg")]
    assert best == ["floor_mean_picture", "floor_dataset_mean"], "each metric has its own best"


def test_questions_pair_the_pictures_that_both_have(root: Path):
    method(root, "deep", ("deep", 16, {"tap": "conv5", "ids": IDS[1:]}))
    question = Question(a="shallow", b="deep", metrics=("psnr", "ssim"))
    table = compare(root, questions={"depth": question})["comparisons"]
    line = asked(table, "depth", "psnr")
    assert (line["n"], line["sources"], line["tap"]) == ("3", "2", "conv2")
    assert float(line["mean_a"]) == 18  # of the last three: 19, 18, 17
    assert float(line["mean_b"]) == 15  # 16, 15, 14
    assert [float(line[name]) for name in ("diff", "lo", "hi")] == [3, 3, 3]


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (Question(a="shalow", b="deep", metrics=("psnr",)), r"\.a: .*'shalow'"),
        (Question(a="shallow", b="floor", metrics=("psnr",)), r"\.b: .*'floor'"),
        (Question(a="shallow", b="deep", metrics=("ms_ssim",)), ": "),
    ],
)
def test_questions_that_have_no_answer_are_named(root: Path, question: Question, message: str):
    with pytest.raises(UserError, match=f"compare.questions.q{message}"):
        compare(root, questions={"q": question})


def test_the_summary_is_small_and_nested_and_no_claim_is_made_of_a_circular_judge(root: Path):
    found = compare(root)
    summary = found["summary"]["toy"]
    assert set(summary) == {"shallow", "deep", OWN_MEAN, "floor_mean_picture", "floor_dataset_mean"}
    assert summary["deep"] == {"psnr": 14.5, "ssim": 0.4, "lpips_alex": 0.6, "lpips_vgg": 0.695, "n": 4}
    assert "lpips_alex" not in summary["shallow"]
    own, other = (asked(found["comparisons"], f"{name} against its mean colour", "lpips_alex") for name in ("shallow", "deep"))
    assert (own["lo"], own["hi"], own["diff"] == "", other["lo"] == "") == ("", "", False, False)
    assert all(line["lpips_alex"] for line in found["leaderboard"])


def test_one_source_has_no_interval_and_two_taps_of_one_method_stand_apart(root: Path):
    for group, name, psnr in (("shallow", "shallow", 20), ("deep", "deep", 16)):
        method(root, group, (name, psnr, {"ids": IDS[:2]}))
    found = compare(root)
    line = asked(found["comparisons"], "shallow against its mean colour", "psnr")
    assert (line["n"], line["sources"], line["lo"], line["hi"]) == ("2", "1", "", "")
    assert found["leaderboard"][0]["psnr_lo"] == ""
    method(root, "deep", ("decoder", 15, {"tap": "conv4"}), ("decoder", 14, {"tap": "conv5"}))
    found = compare(root, questions={"d": Question(a="decoder", b="shallow", metrics=("psnr",))})
    assert [line["tap"] for line in found["leaderboard"] if line["method"] == "decoder"] == ["conv4", "conv5"]
    assert {"decoder alexnet_conv conv4 32", "decoder alexnet_conv conv5 32"} <= set(found["summary"]["toy"])
    assert sum(line["question"] == "d" for line in found["comparisons"]) == 2
    costs = {line["method"]: float(line["seconds_per_image"]) for line in found["leaderboard"]}
    assert costs["decoder"] == 0.75, "6 s for eight pictures"
    with pytest.raises(UserError, match="decoder"):
        compare(root, questions={"d": Question(a="shallow", b="decoder", metrics=("psnr",))})


def test_missing_and_foreign_groups_stop_by_name(root: Path):
    (root / "metrics/methods/.gitignore").write_text("/deep\n")
    assert compare(root)["leaderboard"], "what begins with a point is not foreign"
    with pytest.raises(UserError, match=r"methods/s0.csv is missing"):
        compare(root, groups=("floors", "shallow", "deep", "s0"))
    for place in ("methods/deep.csv", "reconstructions/deep"):
        with pytest.raises(UserError, match=rf"{place}: not in compare.groups"):
            compare(root, groups=("floors", "shallow"))
        (root / "metrics/methods/deep.csv").unlink(missing_ok=True)
    method(root, "deep", ("shallow", 16, {}))
    with pytest.raises(UserError, match="method shallow is in group shallow and in group deep"):
        compare(root)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row("deep", "test0"), row("deep", "test0", restart=1)], "deep has several selected restarts of test0"),
        ([row("deep", "test0", selected=False)], "deep has no selected picture"),
        ([row("deep", "gone")], "deep: id 'gone' is not in dataset toy"),
    ],
)
def test_rows_that_cannot_be_ranked_are_named(root: Path, rows: list[Row], message: str):
    write_scores(root, "deep", rows, [numbers(16, 0) for _ in rows])
    with pytest.raises(UserError, match=message):
        compare(root)
