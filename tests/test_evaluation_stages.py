"""The stages from groups to tables on toys, twice: the contracts' columns, equal bytes."""

from pathlib import Path

import pytest

from relume.core.files import read_csv, write_json
from relume.core.results import read_group
from relume.data.store import Dataset
from relume.evaluation.config import PATHS, TIMED_PATHS
from relume.evaluation.metrics import SETS
from relume.evaluation.scoring import COLUMNS, MASKED_COLUMNS
from stages import compare, evaluate, floors
from tests import contract_files as contract
from tests.evaluation_files import row, write_reconstructions
from tests.stage_files import IMAGES, project, read, run, succeed
from tests.test_evaluation_masked_groups import write as write_masked

PLACE = ["alexnet_conv", "conv5"]
VIEWS = ("feature_error_alexnet_conv5", "reid_rank_alexnet_conv5", "reid_match_alexnet_conv5", "reid_n", "reid_pairs")
TIMED = {"groups/floors/timing.csv", "tables/leaderboard.csv", "tables/paths.csv"}  # how long the floors took
METHODS = ("floors", "shallow", "masked")
EVALUATE = {"metrics": ["psnr", "lpips_alex", "feature_error"], "paths": ["psnr"], "other_taps": [PLACE]}
EVALUATE |= {"sets": {"network": "alexnet_conv", "tap": "pool"}, "reid": {"networks": [PLACE], "candidates": 6}}
QUESTION = {"a": "shallow", "b": "floor_blocks_4", "metrics": ["psnr"]}
SECTIONS = {
    "floors": {"dataset": "toy", "split": "test", "count": 2, "blocks": [4]},
    "evaluate": EVALUATE,
    "compare": {"groups": [*METHODS], "metrics": ["psnr"], "questions": {"q": QUESTION}, "resamples": 1000, "level": 0.95},
    "recipes": {},
}


def tables(out: str) -> None:
    succeed(floors, out=f"{out}/groups/floors")
    data = Dataset.open(Path(IMAGES))
    write_reconstructions(Path(out, "groups/shallow"), [row("shallow", id) for id in data.ids([0, 1])], 255 - data.images[:2])
    write_masked(Path(out, "groups/masked"), data)
    for name in METHODS:
        options = {key: f"{out}/{key}/{name}.csv" for key in ("sets", "paths")} | {"out": f"{out}/methods/{name}.csv"}
        options |= {"images": "data/images", "features": "data/features/toy", "weights": "weights"}
        succeed(evaluate, group=name, reconstructions=f"{out}/groups/{name}", **options)
    folders = {key: f"{out}/{key}" for key in ("methods", "sets", "paths")}
    succeed(compare, reconstructions=f"{out}/groups", images="data/images", **folders, out=f"{out}/tables")


def test_from_groups_to_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(tmp_path, monkeypatch, SECTIONS, size=32)
    taps = {name: {"msd": msd, "cached": False} for name, msd in (("conv2", 2.0), ("conv5", 0.5))}
    write_json(Path("data/features/toy/alexnet_conv/stats.json"), {"taps": taps, "pictures": 12, "kept": None})
    for out in ("a", "b"):
        tables(out)
    one, other = read("a"), read("b")
    assert {name for name in one if one[name] != other[name]} <= TIMED
    heads = {name: tuple(data.split(b"\n")[0].decode().split(",")) for name, data in one.items() if name.endswith(".csv")}
    assert heads["methods/shallow.csv"] == (*COLUMNS, *VIEWS)
    assert heads["methods/masked.csv"] == MASKED_COLUMNS
    assert {heads[f"{table}/{name}.csv"] for table in ("sets", "paths") for name in METHODS} == {SETS, PATHS}
    wanted = {"leaderboard": contract.LEADERBOARD, "masked": contract.MASKED, "sets": contract.SETS, "paths": TIMED_PATHS}
    assert {name: heads[f"tables/{name}.csv"][: len(wanted[name])] for name in wanted} == wanted
    assert heads["tables/comparisons.csv"] == contract.COMPARISONS
    assert set(read_group(Path("a/groups/floors")).method) >= {"config", "device", "code", "params"}
    scores = read_csv(Path("a/methods/shallow.csv"))
    assert all(float(line["lpips_alex"]) > 0 and 1 <= float(line["reid_rank_alexnet_conv5"]) <= 6 for line in scores)
    assert {line["net"] for line in read_csv(Path("a/sets/masked.csv"))} == {"alexnet_conv_pool"}
    assert read_csv(Path("a/paths/masked.csv")) == []
    assert [line["step"] for line in read_csv(Path("a/paths/shallow.csv"))] == ["1"], "it has no steps"
    assert (
        "--group"
        in run(evaluate, group="deep", reconstructions="a/groups/shallow", weights="w", out="x", sets="y", paths="z").stderr
    )
