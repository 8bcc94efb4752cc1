"""The representation probe: linear classifier, nearest neighbours, the stage on toy models."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result

from relume.core.config import build
from relume.core.errors import UserError
from relume.core.files import read_csv, read_json, sha256, write_csv, write_json
from relume.data.store import Dataset
from relume.evaluation import probe
from relume.evaluation.config import Probe
from relume.methods.masked.model import read_masked, represent
from stages import probe as stage
from tests import stage_files as files
from tests.decoder_files import CPU
from tests.evaluation_files import write_dataset
from tests.toy_masked import write_masked

SIZE = 16
PENALTIES = [1e-3, 1e-1]


def config(**differences: Any) -> Probe:
    plain = {"dataset": "toy", "models": [], "train": None, "val": None, "test": None}
    return build(Probe, {**plain, "penalties": PENALTIES, "neighbours": 3, "temperature": 0.1, **differences}, "probe")


def clouds(each: int, spread: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.repeat(["a", "b", "c"], each)
    centres = np.eye(3, 5).repeat(each, 0)
    return centres + spread * rng.normal(size=(3 * each, 5)), labels


def labelled(folder: Path, labels: dict[str, list[str]]) -> Dataset:
    data = write_dataset(folder / "toy", size=SIZE, each=4)
    index = [{**row, "label": labels[row["split"]][int(row["id"][-1])]} for row in data.index]
    write_csv(folder / "toy/index.csv", tuple(index[0]), index)
    manifest = read_json(folder / "toy/manifest.json")
    write_json(folder / "toy/manifest.json", {**manifest, "index_sha256": sha256(folder / "toy/index.csv")})
    return Dataset.open(folder / "toy")


SAME = {"train": ["a", "a", "a", "b"], "val": ["a", "b", "a", ""], "test": ["a", "b", "b", "c"]}


def test_linear_probe() -> None:
    far, val, test = (clouds(20, 0.05, seed) for seed in range(3))
    assert probe.linear_top1(far, val, test, PENALTIES) == 1
    assert (probe.neighbours(far, test[0], count=5, temperature=0.1) == test[1]).all()
    noise = [(np.random.default_rng(seed).normal(size=(600, 5)), np.tile(["a", "b", "c"], 200)) for seed in range(3)]
    assert probe.linear_top1(noise[0], noise[1], noise[2], PENALTIES) == pytest.approx(1 / 3, abs=0.08)
    # One feature. Under a very large penalty only the bias is left, which predicts the more frequent class of `train`,
    # the only one in `common`: the penalty is chosen on `val`.
    train = (np.array([[-1.0], [-1.0], [1.0], [1.0], [-1.0]]), np.array(["a", "a", "b", "b", "a"]))
    common, honest = (np.array([[1.0]]), np.array(["a"])), (np.array([[1.0]]), np.array(["b"]))
    assert probe.linear_top1(train, common, honest, [1e-3, 1e6]) == 0
    assert probe.linear_top1(train, honest, honest, [1e-3, 1e6]) == 1


def test_nearest_neighbours() -> None:
    (train, labels), (test, _) = clouds(12, 0.8), clouds(9, 0.8, seed=1)
    found = probe.neighbours((train, labels), test, count=7, temperature=0.2)
    for feature, name in zip(test, found, strict=True):
        cosines = [one @ feature / np.linalg.norm(one) / np.linalg.norm(feature) for one in train]
        votes = dict.fromkeys("abc", 0.0)
        for place in sorted(range(len(train)), key=lambda at: -cosines[at])[:7]:
            votes[labels[place]] += np.exp(cosines[place] / 0.2)
        assert name == max(votes, key=lambda key: votes[key])
    few = (np.array([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), np.array(["near", "far", "far"]))
    for count, temperature, wanted in ((3, 0.1, "near"), (3, 10.0, "far"), (50, 0.1, "near")):
        assert probe.neighbours(few, np.array([[2.0, 0.0]]), count=count, temperature=temperature).tolist() == [wanted]
    units, other = probe.standardised(np.array([[1.0, 5.0], [3.0, 5.0]]), np.array([[4.0, 6.0]]))
    assert (units.tolist(), other.tolist()) == ([[-1, 0], [1, 0]], [[2, 0]]), "constant features are ignored"


def test_table(tmp_path: Path) -> None:
    """One of four test images has an unknown class; chance is right for one of the other three."""
    data, read = labelled(tmp_path, SAME), []

    def features(rows: list[int]) -> np.ndarray:
        read.append(rows)
        return np.array([[float(data.index[row]["label"] == "a"), 1.0] for row in rows])

    rows = probe.table(data, {"good": features}, config(neighbours=1))
    assert [row["method"] for row in rows] == ["chance", "pixels", "good"]
    assert [(row["n"], row["classes"]) for row in rows] == [(3, 2)] * 3
    assert rows[0]["probe_top1"] == rows[0]["knn_top1"] == pytest.approx(1 / 3)
    assert rows[2]["probe_top1"] == rows[2]["knn_top1"] == 1
    assert [len(one) for one in read] == [4, 3, 3]
    assert probe.table(data, {}, config()) == []
    assert np.array_equal(probe.pixels(data, [2, 5]), data.pixels([2, 5]).flatten(1).numpy())
    large = write_dataset(tmp_path / "large", size=64)
    assert probe.pixels(large, [2, 5]).shape == (2, 3 * 32 * 32), "large images are resized"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    data = labelled(tmp_path / "data/images", SAME)
    write_masked(tmp_path / "models/masked", data, "et")
    write_masked(tmp_path / "models/masked", data, "mae")
    return files.project(tmp_path, monkeypatch, {"probe": {}}, data=data)


def run(images: str = "data/images/toy", **differences: Any) -> Result:
    section = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(config(**differences)).items()}
    files.write_params({"run": files.RUN, "probe": section})
    return files.run(stage, images=images, models="models/masked", out="metrics/probe.csv")


def test_stage_and_faults(project: Path) -> None:
    assert (done := run(models=["et", "mae"])).exit_code == 0, done.output
    table = read_csv(Path("metrics/probe.csv"))
    assert tuple(table[0]) == probe.PROBE
    assert [row["method"] for row in table] == ["chance", "pixels", "et", "mae"]
    data, model = Dataset.open(Path("data/images/toy")), read_masked(Path("models/masked/mae"), CPU)
    with torch.no_grad():
        wanted = model.module.represent(data.pixels([0, 3, 5, 7]))
    assert np.allclose(represent(model, data, [0, 3, 5, 7], 3), wanted.numpy(), atol=1e-6)
    assert (done := run()).exit_code == 0, done.output
    assert Path("metrics/probe.csv").read_text() == ",".join(probe.PROBE) + "\n"
    labelled(project / "apart", {**SAME, "test": ["x", "x", "y", "y"]})
    assert (done := run("apart/toy", models=["et"])).exit_code == 0, done.output
    assert "toy" in done.output
    rows = [tuple(row.values()) for row in read_csv(Path("metrics/probe.csv"))]
    assert rows == [(name, "toy", "", "", "", "") for name in ("chance", "pixels", "et")]
    assert "models/masked/nobody/model.json" in run(models=["nobody"]).output
    write_dataset(project / "large/toy", size=32)
    data, model = Dataset.open(project / "large/toy"), read_masked(Path("models/masked/et"), CPU)
    with pytest.raises(UserError, match="16 px.* 32"):
        represent(model, data, [0], 1)
    for wrong in (["et", "et"], ["chance"]):
        with pytest.raises(UserError, match="models: "):
            config(models=wrong)
