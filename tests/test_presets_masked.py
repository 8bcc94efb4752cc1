"""Presets of masked models: the published parameters, and paper_s4 on toy data in the original format."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relume.core.files import read_csv, read_json
from relume.data.masks import hidden_cells
from relume.methods.masked.config import EnergyTransformerConfig, MaskedArchitecture, MaskedConfig
from relume.methods.masked.model import build
from relume.training.config import Training
from relume.training.schedules import learning_rate
from tests import data_files as files
from tests.decoder_files import entries
from tests.preset_files import run_all, toy_project, whole

TRAIN = {"paper_s4": 49_000, "paper_s4_cifar100": 49_000, "masked_64": 99_000, "energy_imagenet": 1_277_327}


def models(name: str, params: dict[str, Any]) -> dict[str, MaskedConfig]:
    return entries("train_masked", whole(name, params)["train_masked"])


def rule(training: Training) -> tuple[Any, ...]:
    return (training.optimiser, training.betas, training.learning_rate, training.weight_decay, training.batch, training.clip)


def size(architecture: MaskedArchitecture) -> tuple[int, ...]:
    assert isinstance(architecture, EnergyTransformerConfig)
    return (architecture.width, architecture.heads, architecture.key, architecture.memories, architecture.steps)


@pytest.mark.parametrize("name", ["paper_s4", "paper_s4_cifar100"])
def test_paper_s4_parameters(name: str, default_params: dict[str, Any]) -> None:
    (found,) = models(name, default_params).values()
    energy, training = found.architecture, found.training
    assert isinstance(energy, EnergyTransformerConfig)
    assert size(energy) == (256, 12, 64, 1024, 12)
    assert (energy.alpha, energy.beta, energy.own_key, energy.noise) == (10.0, 0.125, True, 0.0)
    assert (found.masks.pattern, found.masks.ratio, found.masks.cell) == ("random", 0.85, 4)
    assert rule(training) == ("adamw", (0.9, 0.999), 5e-5, 1e-4, 128, 1.0)
    assert [learning_rate(training, step) for step in (0, training.steps)] == pytest.approx([5e-5, 1e-6])
    assert sum(weights.numel() for weights in build(energy, 32, 4).parameters()) == 698_161


def test_cifar100_equals_cifar10(default_params: dict[str, Any]) -> None:
    text = [str(whole(name, default_params)) for name in ("paper_s4", "paper_s4_cifar100")]
    assert text[0].replace("cifar10", "cifar100") == text[1]


def test_energy_imagenet_parameters(default_params: dict[str, Any]) -> None:
    (found,) = models("energy_imagenet", default_params).values()
    energy, training = found.architecture, found.training
    assert isinstance(energy, EnergyTransformerConfig)
    assert size(energy) == (768, 12, 64, 3072, 12)
    assert (energy.alpha, energy.beta) == (0.1, 0.125)
    assert hidden_cells(224 // 16, found.masks.ratio) == 100
    assert rule(training) == ("adamw", (0.9, 0.99), 5e-4, 0.05, 768, 1.0)
    assert training.warmup == 2 * training.steps / 100
    assert learning_rate(training, training.steps) == pytest.approx(5e-7)


def test_masked_64_models_are_comparable(default_params: dict[str, Any]) -> None:
    energy, other = models("masked_64", default_params).values()
    assert (energy.masks, energy.training, energy.augment) == (other.masks, other.training, other.augment)
    counts = [sum(weights.numel() for weights in build(one.architecture, 64, 8).parameters()) for one in (energy, other)]
    assert counts == [772_033, 718_080]


@pytest.mark.parametrize(("name", "epochs"), [("paper_s4", 1000), ("masked_64", 100), ("energy_imagenet", 100)])
def test_epochs(name: str, epochs: int, default_params: dict[str, Any]) -> None:
    """The last batch of an epoch need not be full."""
    for found in models(name, default_params).values():
        assert found.training.steps == epochs * -(-TRAIN[name] // found.training.batch)


# --- run --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with toy_project(tmp_path, monkeypatch) as store:
        yield store


@pytest.mark.slow
def test_run_paper_s4(project: Path, default_params: dict[str, Any]) -> None:
    """All stages; a narrow model, two batches of two, two steps down."""
    files.cifar10(project)
    params = whole("paper_s4", default_params)
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
