"""The tables: which pictures count, what they cost, who is held against whom, what no claim is made of, what stops by name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relume.core.errors import UserError
from relume.core.files import read_csv, read_json, write_csv, write_json
from relume.core.results import Row
from relume.evaluation.comparison import write_tables
from relume.evaluation.config import OWN_MEAN, Compare, Question
from relume.evaluation.evidence import gather, gather_sets
from relume.evaluation.metrics import SETS
from relume.evaluation.probe import PROBE
from tests.evaluation_files import row, write_dataset, write_masked_scores, write_scores

IDS = ("test0", "test1", "test2", "test3")  # of two photographs
Table = list[dict[str, str]]


def numbers(psnr: float, at: int) -> dict[str, float]:
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


def compare(root: Path, groups: tuple[str, ...] = (), probe: Table | None = None, **other: Any) -> dict[str, Any]:
    groups = groups or tuple(path.stem for path in sorted((root / "metrics/methods").glob("*.csv")))
    plain: dict[str, Any] = {"metrics": ("psnr", "lpips_alex"), "questions": {}, "resamples": 1000, "level": 0.95}
    folders = {"methods": root / "metrics/methods", "reconstructions": root / "data/reconstructions"}
    cells, sets = gather(groups, images=root / "data/images", **folders), gather_sets(groups, root / "metrics/sets")
    write_tables(root / "out", cells, Compare(groups=groups, **{**plain, **other}), 0, sets=sets, probe=probe or [])
    names = ("leaderboard", "masked", "sets", "comparisons")
    return {**{name: read_csv(root / f"out/{name}.csv") for name in names}, "summary": read_json(root / "out/summary.json")}


def asked(table: Table, question: str, metric: str) -> dict[str, str]:
    (found,) = [line for line in table if line["question"] == question and line["metric"] == metric]
    return found


def test_the_leaderboard_ranks_and_the_summary_is_small_and_nested(root: Path) -> None:
    board = compare(root)["leaderboard"]
    assert [line["method"] for line in board] == ["shallow", "deep", OWN_MEAN, "floor_mean_picture", "floor_dataset_mean"]
    best = board[0]
    assert (best["n"], best["sources"], best["oracle"], best["device"]) == ("4", "2", "false", "cpu")
    assert float(best["psnr"]) == pytest.approx(20 - 1.5)
    assert float(best["psnr_lo"]) < 18.5 < float(best["psnr_hi"])
    assert float(best["seconds_per_image"]) == 1.5  # 6 s for four pictures
    assert {best[name] for name in ("ms_ssim", "feature_error", "reid_top1", "fd")} == {""}
    found = compare(root)
    summary = found["summary"]["toy"]
    assert set(summary) == {"shallow", "deep", OWN_MEAN, "floor_mean_picture", "floor_dataset_mean"}
    assert summary["deep"] == {"psnr": 14.5, "ssim": 0.4, "lpips_alex": 0.6, "lpips_vgg": 0.695, "n": 4}
    assert "lpips_alex" not in summary["shallow"]
    own, other = (asked(found["comparisons"], f"{name} against its mean colour", "lpips_alex") for name in ("shallow", "deep"))
    assert (own["lo"], own["hi"], own["diff"] == "", other["lo"] == "") == ("", "", False, False)
    assert all(line["lpips_alex"] for line in found["leaderboard"])


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


def test_best_floors_and_questions_pair_the_pictures_that_both_have(root: Path) -> None:
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
    with pytest.raises(UserError, match=r"sets/s0.csv is missing"):
        gather_sets(("deep", "s0"), root / "metrics/sets")
    for place in ("methods/deep.csv", "reconstructions/deep"):
        with pytest.raises(UserError, match=rf"{place}: not in compare.groups"):
            compare(root, groups=("floors", "shallow"))
        (root / "metrics/methods/deep.csv").unlink(missing_ok=True)
    method(root, "deep", ("shallow", 16, {}))
    with pytest.raises(UserError, match="method shallow is in group deep and in group shallow"):
        compare(root)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row("deep", "test0"), row("deep", "test0", restart=1)], "deep has several selected restarts of test0"),
        ([row("deep", "test0", selected=False)], "deep has no selected image"),
    ],
)
def test_rows_that_cannot_be_ranked_are_named(root: Path, rows: list[Row], message: str):
    write_scores(root, "deep", rows, [numbers(16, 0) for _ in rows])
    with pytest.raises(UserError, match=message):
        compare(root)


SCORES = {
    ("floor_mean", "0.75"): [14.0, 14, 12, 12],
    ("floor_near", "0.75"): [15.0, 15, 15, 15],
    ("et", "0.75"): [17.0, 16, 18, 17],
    ("mae", "0.75"): [18.0, 18, 18, 18],
    ("floor_mean", "0.5"): [16.0, 16, 16, 16],
    ("et", "0.5"): [20.0, 20, 20, 20],
}
TOLD = {"kind": "masked", "dataset": "toy", "n": 4, "net": "eye_pool", "kid": 0.1}


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "data" / "images" / "toy")
    numbers = [{"psnr": psnr, "ssim": 0.5, "lpips_alex": 0.3, "lpips_vgg": 0.4} for psnr in (20.0, 21.0)]
    write_scores(tmp_path, "shallow", [row("shallow", id) for id in ("test0", "test1")], numbers)
    write_masked_scores(tmp_path, "masked", SCORES)
    return tmp_path


def test_masked_rows_stand_by_ratio_and_are_held_against_the_best_floor(masked: Path) -> None:
    found = compare(masked)
    board = found["masked"]
    assert [line["method"] for line in board if line["mask_ratio"] == "0.5"] == ["et", "floor_mean"]
    assert [line["method"] for line in board[2:]] == ["mae", "et", "floor_near", "floor_mean"]
    assert [line["method"] for line in found["leaderboard"]] == ["shallow"]
    told = {"n": "4", "dataset": "toy", "psnr_masked": "17", "psnr_full": "18", "fd": "", "probe_top1": ""}
    assert {name: board[3][name] for name in told} == told
    assert float(board[3]["psnr_masked_lo"]) < 17 < float(board[3]["psnr_masked_hi"])
    costs = {(line["method"], line["mask_ratio"]): float(line["seconds_per_image"]) for line in board}
    assert costs["et", "0.5"] == costs["et", "0.75"] == 0.75, "6 s for each method: of eight pictures, or of four"
    assert costs["mae", "0.75"] == 1.5
    summary = found["summary"]["toy"]
    assert summary["et 75%"] == {"psnr_masked": 17, "lpips_alex": 0.575, "n": 4}
    table = [line for line in compare(masked)["comparisons"] if line["b"].startswith("floor")]
    asked = {(line["question"], line["metric"]): line for line in table}
    assert set(asked) == {
        (f"{name} against the best floor, {share} % hidden", metric)
        for name, share in (("et", 50), ("et", 75), ("mae", 75))
        for metric in ("psnr_masked", "lpips_alex")
    }
    line = asked["et against the best floor, 75 % hidden", "psnr_masked"]
    assert (line["a"], line["b"], line["n"], line["sources"]) == ("et", "floor_near", "4", "2")
    assert [float(line[name]) for name in ("mean_a", "mean_b", "diff")] == [17, 15, 2]
    assert float(line["lo"]) < 2 < float(line["hi"])
    assert asked["et against the best floor, 50 % hidden", "psnr_masked"]["b"] == "floor_mean"


def test_masked_questions_meet_at_common_ratios_and_what_else_is_told_stands_beside(masked: Path) -> None:
    question = Question(a="et", b="mae", metrics=("psnr_masked", "psnr"))
    found = [line for line in compare(masked, questions={"q": question})["comparisons"] if line["question"].startswith("q")]
    assert [(line["question"], line["metric"], float(line["diff"])) for line in found] == [("q, 75 % hidden", "psnr_masked", -1)]
    other = Question(a="et", b="shallow", metrics=("lpips_alex",))
    with pytest.raises(UserError, match=r"questions.q: "):
        compare(masked, questions={"q": other})
    sets = [{**TOLD, "name": "et@0.5", "fd": 3.5}, {**TOLD, "name": "originals@test", "kind": "real", "n": 2}]
    write_csv(masked / "metrics/sets/masked.csv", SETS, sets)
    write_json(masked / "metrics/runs/masked/method.json", {"device": "cpu", "parameters": {"et": 698161}})
    probe = {"method": "et", "dataset": "toy", "n": 100, "classes": 10, "probe_top1": 0.4, "knn_top1": 0.3}
    write_csv(masked / "probe.csv", PROBE, [probe, {**probe, "dataset": "other", "probe_top1": 0.9}])
    found = compare(masked, probe=read_csv(masked / "probe.csv"))
    told = ("parameters", "fd_net", "fd", "probe_top1", "knn_top1")
    cells = {(line["method"], line["mask_ratio"]): [line[name] for name in told] for line in found["masked"]}
    assert cells["et", "0.5"] == ["698161", "eye_pool", "3.5", "0.4", "0.3"]
    assert cells["et", "0.75"] == ["698161", "", "", "0.4", "0.3"]
    assert cells["floor_near", "0.75"] == [""] * 5
    assert [(line["name"], line["fd"]) for line in found["sets"]] == [("et@0.5", "3.5"), ("originals@test", "")]


def test_floors_may_stand_in_several_groups_but_not_for_the_same_pictures(masked: Path) -> None:
    """And what groups say alike of the originals stands once."""
    again = {("floor_mean", "0.25"): [20.0] * 4}
    write_masked_scores(masked, "more", again)
    real = {**TOLD, "name": "originals@test", "kind": "real"}
    for group in ("masked", "more"):
        write_csv(masked / f"metrics/sets/{group}.csv", SETS, [real])
    found = compare(masked)
    assert found["masked"][0]["mask_ratio"] == "0.25"
    assert len(found["sets"]) == 1
    write_masked_scores(masked, "more", {("floor_mean", "0.5"): [20.0] * 4})
    with pytest.raises(UserError, match="floor_mean on toy.* masked .* more"):
        compare(masked)
