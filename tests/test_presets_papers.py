"""Presets of masked models and of paper_s0: the published parameters, and all stages on toy data in the original formats."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from relume.core.config import build
from relume.core.files import read_csv, read_json, sha256
from relume.data.masks import hidden_cells
from relume.methods.latent.config import InvertLatent, Method, inherited, method
from relume.methods.masked.config import MaskedConfig
from relume.methods.masked.model import build as build_masked
from relume.networks import network as networks
from relume.networks import sources
from relume.training.optimiser import learning_rate
from tests import data_files as files
from tests.decoder_files import entries
from tests.preset_files import run_all, toy_project, whole

TRAIN = {"paper_s4": 49_000, "paper_s4_cifar100": 49_000, "masked_64": 99_000, "energy_imagenet": 1_277_327}


def models(name: str) -> dict[str, MaskedConfig]:
    return entries("train_masked", whole(name)["train_masked"])


def parameters(found: MaskedConfig, pixels: int) -> int:
    return sum(weights.numel() for weights in build_masked(found.architecture, pixels, found.masks.cell).parameters())


@pytest.mark.parametrize("name", ["paper_s4", "paper_s4_cifar100"])
def test_paper_s4_parameters(name: str) -> None:
    (found,) = models(name).values()
    training = found.training
    assert [learning_rate(training, step) for step in (0, training.steps)] == pytest.approx([5e-5, 1e-6])
    assert parameters(found, 32) == 698_161


def test_energy_imagenet_parameters() -> None:
    (found,) = models("energy_imagenet").values()
    training = found.training
    assert hidden_cells(224 // 16, found.masks.ratio) == 100
    assert training.warmup == 2 * training.steps / 100
    assert learning_rate(training, training.steps) == pytest.approx(5e-7)


def test_masked_64_models_are_comparable() -> None:
    energy, other = models("masked_64").values()
    assert (energy.masks, energy.training, energy.augment) == (other.masks, other.training, other.augment)
    assert [parameters(one, 64) for one in (energy, other)] == [772_033, 718_080]


@pytest.mark.parametrize(("name", "epochs"), [("paper_s4", 1000), ("masked_64", 100), ("energy_imagenet", 100)])
def test_epochs(name: str, epochs: int) -> None:
    """The last batch of an epoch need not be full."""
    for found in models(name).values():
        assert found.training.steps == epochs * -(-TRAIN[name] // found.training.batch)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with toy_project(tmp_path, monkeypatch) as store:
        yield store


@pytest.mark.slow
def test_run_paper_s4(project: Path) -> None:
    """All stages; a narrow model, two batches of two, two steps down."""
    files.cifar10(project)
    params = whole("paper_s4")
    params["prepare"]["datasets"]["cifar10"].update(verify=False, val=4)
    params["run"].update(device="cpu", micro_batch=4)
    params["extract"].update(pictures=4)
    params["maps"].update(count=2)
    params["train_masked"]["shared"]["training"].update(steps=2, batch=2, log_every=1, validate_every=2)
    params["train_masked"]["models"]["s4"]["architecture"].update(width=24, heads=2, key=4, memories=32, steps=2)
    run_all(params)
    board = {(row["method"], row["mask_ratio"]): row for row in read_csv(Path("metrics/masked.csv"))}
    assert {ratio for method, ratio in board if method == "s4"} == {"0.85", "0.75", "0.5"}
    floors = {method for method, ratio in board if method.startswith("floor_") and ratio == "0.85"}
    assert "floor_inverse_distance" in floors
    assert {row["n"] for row in board.values()} == {"4"}
    assert read_json(Path("models/masked/s4/model.json"))["config"]["architecture"]["alpha"] == 10.0
    assert {row["method"] for row in read_csv(Path("metrics/probe.csv"))} >= {"s4"}


SIZE = 64  # pixels of the toy run's pictures


@pytest.fixture
def params() -> dict[str, Any]:
    return whole("paper_s0")


def methods(params: dict[str, Any]) -> dict[str, Method]:
    stated = {name: build(InvertLatent, group, name) for name, group in params["invert_latent"].items()}
    groups = {name: inherited(group, params["invert_optimise"]) for name, group in stated.items()}
    return {name: method(group, name, path) for path, group in groups.items() for name in group.methods}


@pytest.fixture
def shrunk(params: dict[str, Any]) -> dict[str, Any]:
    """Without recipes of other networks and some noise levels; all generators, mappers and methods."""
    params["recipes"] = {"s0": params["recipes"]["s0"] | {"steps": 2, "sizes": [[0, 32], [1, SIZE]]}}
    params["train_surrogate"]["models"] = {}
    params["weights"]["networks"] = ["alexnet_conv", "vgg16_conv", "lpips_alex", "lpips_vgg", "resnet50", "efficientnet_lite0"]
    for data, size in zip(params["prepare"]["datasets"].values(), (SIZE, 32), strict=True):
        data.update(pixels=size, short_side=72, verify=False, test=3, val=2, train=None)
    params["run"].update(device="cpu", micro_batch=4)
    params["extract"].update(pictures=2)
    params["floors"].update(blocks=[4])
    params["maps"].update(count=2)
    params["invert_optimise"].update(steps=2, restarts=2, trace_every=2, sizes=[[0, 32], [1, SIZE]])
    few = {"steps": 2, "batch": 2, "log_every": 1, "validate_every": 2}
    params["train_gan"]["shared"]["training"].update(few)
    params["train_gan"]["shared"].update(samples=2, withheld=2, drawn={"count": 3, "walks": 1, "steps": 2, "truncation": 1.0})
    params["train_gan"]["shared"]["architecture"].update(latent=32, width=2)
    params["score_samples"].update(count=3, withheld=2)
    params["train_mapper"]["shared"]["training"].update(few)
    for noise in (1, 2, 3, 4):
        del params["invert_latent"]["gan_2048"]["methods"][f"s0_noise_{noise}"]
    for group in params["invert_latent"].values():
        for own in group["methods"].values():
            if own.get("switches"):
                own["switches"][0][0] = own["optimiser"]["learning_rate"][1][0] = 1
    methods = [*params["recipes"], *(name for group in params["invert_latent"].values() for name in group["methods"])]
    questions = params["compare"]["questions"]
    asked = {name: one for name, one in questions.items() if one["a"] in methods}
    params["compare"].update(groups=["floors", "s0", "gan_128", "gan_2048"], questions=asked, resamples=1000)
    return params


@pytest.mark.slow
def test_run_paper_s0(project: Path, monkeypatch: pytest.MonkeyPatch, shrunk: dict[str, Any]) -> None:
    files.tar(project / "ILSVRC2012_img_val.tar", files.imagenet_files())
    files.devkit(project, [1, 2, 3, 1, 2, 3, 1, 2, 3, 1])
    torch.save(networks.random("resnet50").body.state_dict(), project / "new.pth")
    prefix = sha256(project / "new.pth")[:8]
    path = (project / "new.pth").rename(project / f"resnet50-{prefix}.pth")
    monkeypatch.setitem(sources.FILES, "resnet50", (sources.File(name=path.name, reader="state", sha256=prefix),))
    run_all(shrunk)
    board = {row["method"]: row for row in read_csv(Path("metrics/leaderboard.csv"))}
    ways = methods(shrunk)
    hybrid = {name for name, way in ways.items() if way.space.kind == "pixels" or way.inversion.switches}
    assert {name: board[name]["family"] for name in ways} == {name: "hybrid" if name in hybrid else "latent" for name in ways}
    assert {row["task"] for row in board.values()} == {"feature"}
    assert board["s0_mapper"]["tap"] == "pool"
    assert {row["question"] for row in read_csv(Path("metrics/comparisons.csv"))} >= set(shrunk["compare"]["questions"])
    assert {row["name"] for row in read_csv(Path("metrics/sets.csv"))} >= {"dcgan_128", "dcgan_2048"}
    assert read_json(Path("models/mapper/s0_mapper/model.json"))["shapes"] == {"pool": [2048]}
