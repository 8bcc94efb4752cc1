"""The training stages on toy files: outputs, resume, several processes, faults."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result

from relume.core.files import read_csv, read_json
from relume.core.images import to_uint8
from relume.core.runtime import describe, generator
from relume.core.samples import read_samples
from relume.data.store import Dataset
from relume.methods.gan.model import read_gan
from relume.training.loop import TrainState
from relume.training.models import read_model
from relume.training.ranks import Ranks
from stages import train_decoder, train_diffusion, train_gan, train_landscape, train_mapper, train_masked, train_surrogate
from tests import decoder_files, gan_files, landscape_files, latent_files, toy_masked
from tests.decoder_files import CPU, extracted, together, training
from tests.latent_files import GENERATOR
from tests.stage_files import IMAGES, MODEL, NONE, project, succeed, train
from tests.training_files import DENOISED, PREDICTED, denoisers, surrogates

KEPT = "data/features/toy/alexnet_conv"
UNTOUCHED = {"features": KEPT, "augment": {"flip": False, "crop": 0.0, "colour": 0.0}}
DEEP = {"network": "alexnet_conv", "taps": ["conv5"]}
SHORT = training(steps=4, log_every=1, validate_every=2)
FEW = {"count": 3, "walks": 1, "steps": 2, "truncation": 1.0}
DCGAN = {"architecture": gan_files.KINDS["dcgan"], "objective": gan_files.DUELS["dcgan"]}
GAN = gan_files.shared(samples=2, drawn=FEW, training=SHORT | {"betas": [0.0, 0.99], "clip": None})
SECTIONS: dict[str, Any] = {
    "train_decoder": {
        "shared": decoder_files.shared(training=SHORT),
        "decoders": {"both": DEEP | {"taps": ["conv5", "conv2"], "losses": {"lpips": 0.1}}, "cached": DEEP | UNTOUCHED},
    },
    "train_diffusion": {"shared": denoisers(training=SHORT), "models": {"denoiser": DENOISED}},
    "train_gan": {
        "shared": GAN,
        "models": {"dcgan": {"architecture": gan_files.KINDS["dcgan"], "objective": gan_files.DUELS["dcgan"]}},
    },
    "train_landscape": {
        "shared": landscape_files.shared(losses=landscape_files.PLAIN_LOSS, training=SHORT | {"batch": 4}),
        "models": {"theta": {"generator": GENERATOR}, "alone": {"generator": GENERATOR, "training": {"batch": 2}}},
    },
    "train_mapper": latent_files.mapper_section(training=SHORT),
    "train_masked": {"shared": toy_masked.SHARED | {"training": SHORT}, "models": toy_masked.MODELS},
    "train_surrogate": {"shared": surrogates("residual", training=SHORT), "models": {"linear": PREDICTED}},
}
WEIGHTS = {"weights": "models/weights"}
CASES: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "decoder": (train_decoder, "both", WEIGHTS | {"features": NONE}),
    "diffusion": (train_diffusion, "denoiser", WEIGHTS),
    "gan": (train_gan, "dcgan", WEIGHTS),
    "landscape": (train_landscape, "theta", WEIGHTS | {"generator": GENERATOR}),
    "mapper": (train_mapper, "toy_mapper", WEIGHTS | {"generator": GENERATOR}),
    "masked": (train_masked, "mixed", {"tokenizer": NONE}),
    "surrogate": (train_surrogate, "linear", WEIGHTS | {"features": NONE, "target-features": NONE}),
}


@pytest.fixture(autouse=True)
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    latent_files.write_gan(tmp_path / GENERATOR)
    return project(tmp_path, monkeypatch, SECTIONS)


def trained(case: str, name: str | None = None, out: str = "models") -> Result:
    stage, own, options = CASES[case]
    name = name or own
    more = {"samples": f"{out}/samples"} if case == "gan" else {}
    return train(stage, name, out, **options, **more)


@pytest.mark.parametrize("case", CASES)
def test_stage_writes_model_and_timing(case: str) -> None:
    name = CASES[case][1]
    result = trained(case)
    assert result.exit_code == 0, result.output
    assert f"{name}: " in result.output
    assert {path.name for path in Path("models", name).iterdir()} == MODEL
    card = read_json(Path("models", name, "model.json"))
    assert {"code", "params", "sha256", "metrics", "best_step", "device"} <= set(card)
    assert read_csv(Path(f"models/{name}.csv"))[-1]["step"] == "4"
    terms = {row["term"] for row in read_csv(Path("models", name, "history.csv"))}
    assert {"train/loss", "val/loss", "learning_rate"} <= terms
    assert not list(Path().glob(".dvc/tmp/resume/*")), "scratch files remain"


def test_samples_use_the_kept_weights() -> None:
    assert trained("gan").exit_code == 0
    found = read_samples(Path("models/samples"))
    assert (found.about.name, found.about.dataset, found.images.shape) == ("dcgan", "toy", (3, 64, 64, 3))
    model = read_gan(Path("models/dcgan"), CPU).generator
    with torch.no_grad():
        kept = to_uint8(model(model.draw([generator(0, "drawn", 2)])))
    assert np.abs(kept[0].astype(int) - found.images[2]).max() <= 1


def test_decoder_from_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    extracted(Path(KEPT), Dataset.open(Path(IMAGES)), [0, 1, 2])
    monkeypatch.setattr("relume.methods.decoder.train.load", lambda *_: pytest.fail("a network looked at pictures"))
    result = train(train_decoder, "cached", weights="models/weights", features=KEPT)
    assert result.exit_code == 0, result.output
    assert read_json(Path("models/cached/model.json"))["config"]["features"] == KEPT


def test_tokenizer_is_the_trained_one() -> None:
    assert trained("masked", "codes").exit_code == 0
    succeed(train_masked, model="beit", tokenizer="models/codes", out="models/beit", timing="beit.csv")
    codes, beit = (read_model(Path("models", name))[0] for name in ("codes", "beit"))
    assert all(torch.equal(value, beit[f"tokenizer.{name}"]) for name, value in codes.items())


def dying(monkeypatch: pytest.MonkeyPatch, *at: int) -> list[int]:
    """The steps of all runs; the process dies before those in `at`. A checkpoint is written after every step."""
    monkeypatch.setattr("relume.core.checkpoint.Checkpoint.due", lambda self: True)
    advance, steps = TrainState.advance, list[int]()

    def killed(self: TrainState) -> None:
        steps.append(self.step)
        if len(steps) in at:
            raise KeyboardInterrupt
        advance(self)

    monkeypatch.setattr(TrainState, "advance", killed)
    return steps


def many(rank: int, count: int) -> Callable[[torch.device], Any]:
    return lambda device: nullcontext(Ranks(rank, count))


@pytest.mark.parametrize("case", CASES)
def test_faults_before_training(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    stage, name, _ = CASES[case]
    section = f"{stage.__name__.removeprefix('stages.')}.{'decoders' if case == 'decoder' else 'models'}"
    monkeypatch.setattr("relume.training.stage.train", lambda *_, **__: pytest.fail("work has begun"))
    assert f"{section}.nobody: missing" in trained(case, "nobody").output
    monkeypatch.setattr("relume.training.stage.ranks", together(3))
    result = trained(case)
    assert result.exit_code == 1
    assert f"{section}.{name}.training.batch: " in result.output
    assert not Path("models", name).exists()
    Path("models").rename("moved")
    Path("models").write_text("no folder")
    assert "cannot write models/" in trained(case).output


def test_trajectories_fit_into_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relume.training.stage.ranks", together(2))
    assert "train_landscape.models.alone.descents.per_batch: " in trained("landscape", "alone").output


def test_checkpoints_depend_on_the_process_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint of two processes is not used by one: the sums differ in the last bits."""
    monkeypatch.setattr(Ranks, "average", lambda self, tensors: None)
    steps = dying(monkeypatch, 3)
    monkeypatch.setattr("relume.training.stage.ranks", together(2))
    assert trained("decoder").exit_code != 0
    monkeypatch.setattr("relume.training.stage.ranks", together(1))
    assert trained("decoder", out="alone").exit_code == 0
    monkeypatch.setattr("relume.training.stage.ranks", together(2))
    assert trained("decoder").exit_code == 0
    assert steps == [0, 1, 2, *range(4), *range(2, 4)]
    devices = [read_json(Path(folder, "both/model.json"))["device"] for folder in ("alone", "models")]
    assert devices == [describe(CPU), f"{describe(CPU)}, 2 processes"]
    monkeypatch.setattr("relume.training.stage.ranks", many(1, 2))
    assert trained("gan", out="others").exit_code == 0
    assert not Path("others").exists()
