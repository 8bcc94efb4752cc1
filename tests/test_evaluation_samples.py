"""Samples against held-out images and baselines; the stages from groups to tables on toys, twice: columns, equal bytes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relume.core.files import read_csv, sha256, write_csv, write_json
from relume.core.images import resize
from relume.core.results import read_group
from relume.core.samples import About, Samples, write_samples
from relume.data.store import Dataset
from relume.evaluation.config import PATHS, TIMED_PATHS, ScoreSamples
from relume.evaluation.evidence import gather_sets
from relume.evaluation.metrics import SETS
from relume.evaluation.sample_sets import SCORED, read_scored, sample_rows, shuffled
from relume.evaluation.scoring import COLUMNS, MASKED_COLUMNS
from relume.evaluation.sets import MetricNetwork
from relume.networks import network as networks
from stages import compare, evaluate, floors, score_samples
from tests import contract_files as contract
from tests import stage_files as files
from tests.evaluation_files import kid, row, write_dataset, write_reconstructions
from tests.stage_files import IMAGES, project, read, run, succeed
from tests.test_evaluation_masked_groups import write as write_masked

CPU = torch.device("cpu")
CONFIG = ScoreSamples(models=("copies", "black"), split="test", withheld=0, count=8, patches=2)
Row = dict[str, Any]


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return write_dataset(tmp_path / "data/images/toy", size=64, each=8)


@pytest.fixture
def samples(tmp_path: Path, data: Dataset) -> Path:
    folder = tmp_path / "data/samples"
    for name, images in (("copies", data.images[data.select("test")]), ("black", np.zeros((9, 64, 64, 3), np.uint8))):
        about = About(name=name, dataset="toy", size=64, n=len(images), seed=0, truncation=1.0)
        write_samples(folder / name, Samples(about=about, images=images, walk=images[None, :2]))
    return folder


def metric_network() -> MetricNetwork:
    return MetricNetwork(network=networks.random("alexnet_conv"), tap="pool", micro_batch=3, device=CPU)


def rows(samples: Path, data: Dataset, config: ScoreSamples = CONFIG) -> dict[str, Row]:
    return {
        str(row["name"]): row for row in sample_rows(read_scored(samples, config), {"toy": data}, metric_network(), config, 0)
    }


def test_samples_and_baselines(samples: Path, data: Dataset) -> None:
    found = rows(samples, data)
    kinds = [(row["kind"], row["n"]) for row in found.values()]
    assert list(found) == ["copies", "black", "floor_train_toy", "floor_shuffled_patches_toy", "originals@test"]
    assert kinds == [("gan", 8), ("gan", 8), ("floor", 8), ("floor", 8), ("real", 4)]
    assert {row["net"] for row in found.values()} == {"alexnet_conv_pool"}
    assert found["copies"]["fd"] == pytest.approx(0, abs=1e-6)
    assert found["black"]["fd"] > found["floor_train_toy"]["fd"] > 0
    assert found["copies"]["kid"] < found["floor_train_toy"]["kid"] < found["black"]["kid"]
    assert found["black"]["kid_lo"] <= found["black"]["kid"] <= found["black"]["kid_hi"]
    assert found["black"]["sha256"] == sha256(samples / "black/images.npy")
    # samples share no source with images
    look, test, train = metric_network(), data.select("test"), data.select("train")
    e = {name: look.embed(numbers, data.pixels) for name, numbers in (("test", test), ("train", train))}
    by_photo, own = torch.arange(8) // 2, torch.arange(8)
    found = rows(samples, data)
    assert found["floor_train_toy"]["kid"] == pytest.approx(kid(e["train"], e["test"], by_photo + 10, by_photo), rel=1e-9)
    assert found["copies"]["kid"] == pytest.approx(kid(e["test"], e["test"], own + 10, by_photo), rel=1e-9)
    assert found["copies"]["kid"] != pytest.approx(kid(e["test"], e["test"], own + 10, own), rel=1e-6)


def test_withheld_images(samples: Path, data: Dataset) -> None:
    """The last three of eight training images, each a source of its own; baselines use the first five."""
    found = rows(samples, data, replace(CONFIG, withheld=3))
    own = {name: row for name, row in found.items() if row["kind"] == "withheld"}
    floors = ["floor_train_toy@withheld", "floor_shuffled_patches_toy@withheld"]
    assert list(own) == ["copies@withheld", "black@withheld", *floors]
    look, train = metric_network(), data.select("train")
    e = look.embed(train, data.pixels)
    assert own[floors[0]]["n"] == 5
    assert own[floors[0]]["kid"] == pytest.approx(kid(e[:5], e[5:], torch.arange(5), torch.arange(3) + 10), rel=1e-9)


def test_shuffled_patches_and_resized_images(data: Dataset) -> None:
    images = torch.arange(2 * 3 * 4 * 4.0).view(2, 3, 4, 4)
    found = shuffled(images, 2, [torch.Generator().manual_seed(seed) for seed in (1, 2)])
    for picture, torn, seed in zip(images, found, (1, 2), strict=True):
        order = torch.randperm(4, generator=torch.Generator().manual_seed(seed)).tolist()
        for place, origin in enumerate(order):
            (y, x), (v, u) = divmod(place, 2), divmod(origin, 2)
            wanted = picture[:, 2 * v : 2 * v + 2, 2 * u : 2 * u + 2]
            assert torch.equal(torn[:, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2], wanted)
    assert not torch.equal(found, images)
    plain, large = metric_network(), replace(metric_network(), size=96)
    assert large.name == f"{plain.name}@96"
    found = large.embed([0, 1], data.pixels)
    assert torch.allclose(found, plain.embed([0, 1], lambda numbers: resize(data.pixels(numbers), 96)))
    assert not torch.allclose(found, plain.embed([0, 1], data.pixels), rtol=1e-3)


@pytest.mark.parametrize("asked", [True, False])
def test_stage(tmp_path, data, samples, monkeypatch, asked) -> None:
    sets = {"network": "alexnet_conv", "tap": "pool"} if asked else None
    section = {"models": ["copies"], "split": "test", "withheld": 0, "count": 8, "patches": 2}
    sections = {"evaluate": {"metrics": ["mse"], "sets": sets}, "score_samples": section}
    files.project(tmp_path, monkeypatch, sections, data=data)
    files.succeed(score_samples, samples="data/samples", images="data/images", weights="weights", out="metrics/samples.csv")
    table = read_csv(Path("metrics/samples.csv"))
    assert Path("metrics/samples.csv").read_text().startswith(",".join(SCORED))
    assert [row["kind"] for row in table] == (["gan", "floor", "floor", "real"] if asked else [])
    real = [{key: row[key] for key in SETS} for row in table if row["kind"] == "real"]
    write_csv(Path("metrics/sets/masked.csv"), SETS, real)
    taken = gather_sets(["masked"], Path("metrics/sets"), Path("metrics/samples.csv"))
    assert [tuple(row) for row in taken] == [SETS] * len(table), "the row of the originals is not repeated"


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
