"""Masked groups in the tables: rows and their order, floors at every ratio, questions, costs, sets and probes."""

from pathlib import Path
from typing import Any

import pytest

from relume.core.errors import UserError
from relume.core.files import read_csv, read_json, write_csv, write_json
from relume.evaluation.comparison import write_tables
from relume.evaluation.config import Compare, Question
from relume.evaluation.evidence import gather, gather_sets, read_probe
from relume.evaluation.metrics import SETS
from relume.evaluation.probe import PROBE
from tests.evaluation_files import row, write_dataset, write_masked_scores, write_scores

Table = list[dict[str, str]]
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
def root(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "data" / "images" / "toy")
    numbers = [{"psnr": psnr, "ssim": 0.5, "lpips_alex": 0.3, "lpips_vgg": 0.4} for psnr in (20.0, 21.0)]
    write_scores(tmp_path, "shallow", [row("shallow", id) for id in ("test0", "test1")], numbers)
    write_masked_scores(tmp_path, "masked", SCORES)
    return tmp_path


def compare(root: Path, groups: tuple[str, ...] = ("shallow", "masked"), probe: Table | None = None, **other: Any) -> Any:
    plain: dict[str, Any] = {"metrics": ("psnr",), "questions": {}, "resamples": 1000, "level": 0.95}
    folders = {name: root / place for name, place in (("methods", "metrics/methods"), ("images", "data/images"))}
    cells = gather(groups, reconstructions=root / "data/reconstructions", **folders)
    sets = gather_sets(groups, root / "metrics/sets")
    write_tables(root / "out", cells, Compare(groups=groups, **{**plain, **other}), 0, sets=sets, probe=probe or [])
    names = ("leaderboard", "masked", "sets", "comparisons")
    return {**{name: read_csv(root / "out" / f"{name}.csv") for name in names}, "summary": read_json(root / "out/summary.json")}


def test_rows_stand_by_ratio_the_best_first(root: Path) -> None:
    found = compare(root)
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


def test_models_are_held_against_the_best_floor_at_each_ratio(root: Path) -> None:
    table = [line for line in compare(root)["comparisons"] if line["b"].startswith("floor")]
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


def test_questions_meet_at_the_ratios_that_both_have(root: Path) -> None:
    question = Question(a="et", b="mae", metrics=("psnr_masked", "psnr"))
    found = [line for line in compare(root, questions={"q": question})["comparisons"] if line["question"].startswith("q")]
    assert [(line["question"], line["metric"], float(line["diff"])) for line in found] == [("q, 75 % hidden", "psnr_masked", -1)]
    other = Question(a="et", b="shallow", metrics=("lpips_alex",))
    with pytest.raises(UserError, match=r"questions.q: "):
        compare(root, questions={"q": other})


def test_what_else_is_told_of_a_method_stands_beside_it(root: Path) -> None:
    sets = [{**TOLD, "name": "et@0.5", "fd": 3.5}, {**TOLD, "name": "originals@test", "kind": "real", "n": 2}]
    write_csv(root / "metrics/sets/masked.csv", SETS, sets)
    write_json(root / "metrics/runs/masked/method.json", {"device": "cpu", "parameters": {"et": 698161}})
    probe = {"method": "et", "dataset": "toy", "n": 100, "classes": 10, "probe_top1": 0.4, "knn_top1": 0.3}
    write_csv(root / "probe.csv", PROBE, [probe, {**probe, "dataset": "other", "probe_top1": 0.9}])
    found = compare(root, probe=read_probe(root / "probe.csv"))
    told = ("parameters", "fd_net", "fd", "probe_top1", "knn_top1")
    cells = {(line["method"], line["mask_ratio"]): [line[name] for name in told] for line in found["masked"]}
    assert cells["et", "0.5"] == ["698161", "eye_pool", "3.5", "0.4", "0.3"]
    assert cells["et", "0.75"] == ["698161", "", "", "0.4", "0.3"]
    assert cells["floor_near", "0.75"] == [""] * 5
    assert [(line["name"], line["fd"]) for line in found["sets"]] == [("et@0.5", "3.5"), ("originals@test", "")]


def test_floors_may_stand_in_several_groups_but_not_for_the_same_pictures(root: Path) -> None:
    """And what groups say alike of the originals stands once."""
    again = {("floor_mean", "0.25"): [20.0] * 4}
    write_masked_scores(root, "more", again)
    real = {**TOLD, "name": "originals@test", "kind": "real"}
    for group in ("masked", "more"):
        write_csv(root / f"metrics/sets/{group}.csv", SETS, [real])
    found = compare(root, groups=("shallow", "masked", "more"))
    assert found["masked"][0]["mask_ratio"] == "0.25"
    assert len(found["sets"]) == 1
    write_masked_scores(root, "more", {("floor_mean", "0.5"): [20.0] * 4})
    with pytest.raises(UserError, match="floor_mean on toy.* masked .* more"):
        compare(root, groups=("shallow", "masked", "more"))


def test_files_that_do_not_fit_are_named(root: Path) -> None:
    path = root / "metrics/methods/masked.csv"
    path.write_text(path.read_text().replace("mse_masked", "mse"))
    with pytest.raises(UserError, match="masked.csv: column mse_masked"):
        compare(root)
    with pytest.raises(UserError, match=r"sets/deep.csv"):
        gather_sets(("shallow", "masked", "deep"), root / "metrics/sets")
    probe = {"method": "et", "dataset": "toy", "probe_top1": 0.4}
    for columns, rows, told in ((tuple(probe), [probe], "column knn_top1"), (PROBE, [probe, probe], "two rows of .*et on toy")):
        write_csv(root / "probe.csv", columns, rows)
        with pytest.raises(UserError, match=rf"probe.csv: {told}"):
            read_probe(root / "probe.csv")
