"""The stage of generators on toy files: a model, its samples, equal bytes after a kill, faults by name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner, Result

from relume.core.files import read_csv, read_json
from relume.core.images import to_uint8
from relume.core.runtime import generator as die
from relume.core.samples import read_samples
from relume.methods.gan.trained import read_gan
from relume.training.loop import Course
from stages import train_gan
from tests.decoder_files import CPU, Store, together, training
from tests.evaluation_files import write_dataset
from tests.gan_files import DUELS, KINDS, shared

SIDE = 64  # the eye sees no smaller ones
FILES = ("model.safetensors", "last.safetensors", "model.json", "history.csv", "samples.png", "progress.jpg")
SAMPLES = ("images.npy", "walk.npy", "samples.json")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a dataset and parameters; the eye has random weights."""
    write_dataset(tmp_path / "data/images/toy", size=SIDE)
    few = shared(samples=2, drawn={"count": 3, "walks": 1, "steps": 2, "truncation": 1.0})
    few["training"] = training(steps=4, batch=2, log_every=1, validate_every=2, betas=[0.0, 0.99], clip=None)
    models = {name: {"architecture": KINDS[name], "duel": DUELS[name]} for name in KINDS}
    params: dict[str, Any] = {
        "run": {"seed": 0, "device": "cpu", "precision": "float32", "micro_batch": 2},
        "train_gan": {"shared": few, "models": models},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train_gan": {"deps": []}}}))
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_STAGE", "RELUME_SCRATCH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("relume.params.check", lambda whole: None)
    monkeypatch.setattr(train_gan, "WeightStore", lambda *folders: Store())
    return tmp_path


def trained(name: str, out: str = ".") -> Result:
    options = {"--model": name, "--images": "data/images/toy", "--weights": "models/weights/alexnet_conv"}
    options |= {"--out": f"{out}/models/gan/{name}", "--samples": f"{out}/data/samples/{name}"}
    options["--timing"] = f"{out}/metrics/training/{name}.csv"
    return CliRunner().invoke(train_gan.main, [part for pair in options.items() for part in pair])


def test_a_model_and_its_samples(project: Path) -> None:
    result = trained("dcgan")
    assert result.exit_code == 0, result.output
    assert "dcgan: KID " in result.output
    assert {path.name for path in (project / "models/gan/dcgan").iterdir()} == set(FILES)
    assert {path.name for path in (project / "data/samples/dcgan").iterdir()} == set(SAMPLES)
    card = read_json(project / "models/gan/dcgan/model.json")
    assert {"code", "params", "sha256", "metrics", "best_step", "parameters", "data", "size", "device"} <= set(card)
    assert read_csv(project / "metrics/training/dcgan.csv")[-1]["step"] == "4"
    assert not list(project.glob(".dvc/tmp/resume/*")), "nothing is left in the scratch"
    found = read_samples(project / "data/samples/dcgan")
    assert (found.about.name, found.about.dataset, found.images.shape) == ("dcgan", "toy", (3, SIDE, SIDE, 3))
    model = read_gan(project / "models/gan/dcgan", CPU).generator
    with torch.no_grad():
        kept = to_uint8(model(model.draw([die(0, "drawn", 2)])))
    assert np.abs(kept[0].astype(int) - found.images[2]).max() <= 1, "of the weights that were kept"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_killed_stage_goes_on_to_the_same_bytes(project: Path, monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["run"]["precision"] = precision
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    whole = trained("style", "whole")
    assert whole.exit_code == 0, whole.output
    monkeypatch.setattr("relume.core.checkpoint.Checkpoint.due", lambda self: True)
    advance, steps = Course.advance, []

    def killed(self: Course) -> None:
        steps.append(self.step)
        if len(steps) == 4:
            raise KeyboardInterrupt
        advance(self)

    monkeypatch.setattr(Course, "advance", killed)
    assert trained("style", "late").exit_code != 0
    assert not Path("late").exists()
    assert trained("style", "late").exit_code == 0
    assert steps == [0, 1, 2, 3, 3]
    paths = [*(f"models/gan/style/{name}" for name in FILES), *(f"data/samples/style/{name}" for name in SAMPLES)]
    for path in paths:
        assert (project / "whole" / path).read_bytes() == (project / "late" / path).read_bytes(), path


def test_faults_come_before_the_work(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_gan, "gan_lesson", lambda **_: pytest.fail("work has begun"))
    result = trained("nobody")
    assert result.exit_code == 1
    assert "train_gan.models.nobody: missing" in result.output
    monkeypatch.setattr(train_gan, "ranks", together(3))
    result = trained("style")
    assert result.exit_code == 1
    assert "train_gan.models.style.training.batch: 2 cannot be shared evenly by 3 processes" in result.output


def test_the_others_of_several_processes_write_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from contextlib import nullcontext

    from relume.training.ranks import Ranks

    monkeypatch.setattr(Ranks, "average", lambda self, tensors: None)
    monkeypatch.setattr(train_gan, "ranks", lambda device: nullcontext(Ranks(1, 2)))
    assert trained("dcgan").exit_code == 0
    assert not list(project.glob("models/gan/*"))
    monkeypatch.setattr(train_gan, "ranks", together(2))
    assert trained("dcgan").exit_code == 0
    assert read_json(project / "models/gan/dcgan/model.json")["device"].endswith(", 2 processes")
