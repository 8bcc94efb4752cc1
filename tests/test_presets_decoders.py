"""Presets of decoders: the published epochs, and every stage on toy data in the original formats."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from relume.core.files import read_csv, read_json, sha256
from relume.data.store import Dataset
from relume.methods.decoder.config import DecoderConfig
from relume.networks import network as networks
from relume.networks import sources
from relume.training.config import Stepwise
from tests import data_files as files
from tests.decoder_files import entries
from tests.preset_files import run_all, toy_project, whole

WIDTH = 8  # of our decoders
LAYERS = ("layer1", "layer2", "layer3", "layer4")


def configs(name: str) -> dict[str, DecoderConfig]:
    return entries("train_decoder", whole(name)["train_decoder"])


def test_paper_s2_epochs() -> None:
    """20 classes of 500 training pictures, 50 of them held out: 9,000 in batches of 64, the last of which is not full."""
    data = whole("paper_s2")["prepare"]["datasets"]["tiny_imagenet"]
    assert (data["pixels"], data["classes"], data["val"]) == (227, 20, 20 * 50)
    epoch = -(-20 * (500 - 50) // 64)
    for config in configs("paper_s2").values():
        assert config.training.steps == 30 * epoch
        assert config.training.schedule == Stepwise(kind="step", every=4 * epoch, gamma=0.5)
        assert config.training.validate_every == epoch


def test_paper_s3_epochs() -> None:
    data = whole("paper_s3")["prepare"]["datasets"]["imagenet_val"]
    left = 50_000 - data["test"] - data["val"]
    assert (data["pixels"], "train" in data) == (224, False)
    for config in configs("paper_s3").values():
        assert config.training.steps * config.training.batch == 32 * left


# --- run --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with toy_project(tmp_path, monkeypatch) as store:
        yield store


def weights(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random tensors in a torchvision file, with its hash in the name."""
    torch.save(networks.random(name).body.state_dict(), folder / "new.pth")
    prefix = sha256(folder / "new.pth")[:8]
    path = (folder / "new.pth").rename(folder / f"{name}-{prefix}.pth")
    monkeypatch.setitem(sources.FILES, name, (sources.File(name=path.name, reader="state", sha256=prefix),))


def shrunk(params: dict[str, Any], size: int, **counts: int) -> dict[str, Any]:
    """A preset's parameters, smaller: the same stages, networks, taps and methods."""
    (data,) = params["prepare"]["datasets"].values()
    data.update(pixels=size, verify=False, **counts)
    params["run"].update(device="cpu", micro_batch=4)
    params["extract"].update(pictures=2)
    params["compare"].update(resamples=1000)
    shown = params["maps"]["decoders"][-1:]
    params["maps"].update(decoders=shown, count=2, pictures=2, probes=1, groups=2, shown=1)
    shared = params["train_decoder"]["shared"]
    shared["moments"] = 2
    shared["training"].update(steps=2, batch=2, log_every=1, validate_every=2)
    for decoder in params["train_decoder"]["decoders"].values():
        if "architecture" in decoder:
            decoder["architecture"]["width"] = WIDTH
    return params


def compared(params: dict[str, Any]) -> None:
    """Every decoder is in the leaderboard beside the baselines; every question has an answer in every metric."""
    board = {row["method"]: row for row in read_csv(Path("metrics/leaderboard.csv"))}
    trained = params["train_decoder"]["decoders"]
    assert set(trained) | {"floor_dataset_mean", "floor_own_mean"} <= set(board)
    for name, own in trained.items():
        assert (board[name]["network"], board[name]["tap"]) == (own["network"], "+".join(own["taps"]))
        assert (board[name]["n"], board[name]["oracle"]) == (board["floor_own_mean"]["n"], "false")
    answers = {(row["question"], row["metric"]) for row in read_csv(Path("metrics/comparisons.csv"))}
    assert answers >= {(name, metric) for name, asked in params["compare"]["questions"].items() for metric in asked["metrics"]}


@pytest.mark.slow
def test_run_paper_s2(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three classes of which two are drawn; pictures of 64 pixels are enlarged."""
    files.tiny_imagenet(project)
    weights(project, "alexnet", monkeypatch)
    params = shrunk(whole("paper_s2"), 72, classes=2, val=2)
    run_all(params)
    data = Dataset.open(Path("data/images/tiny_imagenet"))
    assert data.manifest["counts"] == {"all": 12, "test": 4, "val": 2, "train": 6}
    assert data.size == 72
    compared(params)
    shapes = {name: read_json(Path(f"models/decoder/{name}/model.json"))["shapes"] for name in ("s2_conv2", "s2_fc8")}
    assert shapes == {"s2_conv2": {"conv2": [192, 8, 8]}, "s2_fc8": {"logits": [1000]}}


@pytest.mark.slow
def test_run_paper_s3(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.tar(project / "ILSVRC2012_img_val.tar", files.imagenet_files())
    files.devkit(project, [1, 2, 3, 1, 2, 3, 1, 2, 3, 1])
    weights(project, "resnet50", monkeypatch)
    params = shrunk(whole("paper_s3"), 64, short_side=72, test=3, val=2)
    run_all(params)
    assert Dataset.open(Path("data/images/imagenet_val")).manifest["counts"] == {"all": 10, "test": 3, "val": 2, "train": 5}
    compared(params)
    card = read_json(Path("models/decoder/s3_all/model.json"))
    assert card["shapes"] == {"layer1": [256, 16, 16], "layer2": [512, 8, 8], "layer3": [1024, 4, 4], "layer4": [2048, 2, 2]}
    assert card["data"] == {"dataset": "imagenet_val", "train": 5, "val": 2}
