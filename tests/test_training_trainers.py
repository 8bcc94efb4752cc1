"""Properties of every Trainer: resume, saved models, datasets, adversarial losses."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from relume.core.checkpoint import Checkpoint
from relume.core.errors import UserError
from relume.data.store import Dataset
from relume.methods.decoder.model import read_decoder
from relume.methods.diffusion.infer import read_denoiser
from relume.methods.gan.model import TrainedGan, read_gan
from relume.methods.landscape.trained import read_landscape
from relume.methods.latent.model import read_mapper
from relume.methods.masked.model import read_masked
from relume.methods.surrogate.model import read_surrogate
from relume.training.adversarial import DISCRIMINATOR
from relume.training.loop import LOSS, train
from relume.training.models import Trained, read_model, write_model
from relume.training.trainer import Trainer
from stages import train_decoder, train_diffusion, train_gan, train_landscape, train_mapper, train_masked, train_surrogate
from tests.decoder_files import CPU, training
from tests.gan_files import dice
from tests.training_files import ADVERSARIAL, TRAINERS

STAGES = (train_decoder, train_diffusion, train_gan, train_landscape, train_mapper, train_masked, train_surrogate)
SHORT = training(steps=4, batch=3, log_every=2, clip=None)
READERS: dict[str, Callable[..., Any]] = {
    "decoder": read_decoder,
    "diffusion": read_denoiser,
    "gan": read_gan,
    "landscape": lambda folder, device, trainer: read_landscape(folder, painter(trainer), device),
    "mapper": read_mapper,
    "masked": read_masked,
    "surrogate": read_surrogate,
}


def painter(trainer: Any) -> TrainedGan:
    return TrainedGan(card={"name": "toy"}, module=trainer.painter)


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(value, b[name]) for name, value in a.items())


def test_every_trainer_is_covered(data: Dataset) -> None:
    built = {
        value for stage in STAGES for value in vars(stage).values() if isinstance(value, type) and issubclass(value, Trainer)
    }
    assert {type(make(data)) for make in TRAINERS.values()} == built
    assert {one.kind for one in built} == set(READERS)


@pytest.mark.parametrize("name", TRAINERS)
def test_resume_gives_the_same_bytes(data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """With all other state of a Trainer: the discriminator, image history, trajectories, running means."""

    def run(**options: Any) -> tuple[Trained, dict[str, Tensor]]:
        torch.seed()  # the global generator must not matter
        trainer = TRAINERS[name](data, training=SHORT)
        done = train(trainer, **options)
        return done, trainer.module.state_dict() | (trainer.discriminator.state() if trainer.discriminator else {})

    whole, state = run()
    monkeypatch.setattr(Checkpoint, "due", lambda self: True)

    def killed(step: int, values: object, preview: object) -> None:
        if step == 4:
            raise KeyboardInterrupt

    path = tmp_path / "training.safetensors"
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=Checkpoint(path, []), on_log=killed)
    assert path.exists()
    again, other = run(checkpoint=Checkpoint(path, []))
    assert (again.history, again.metrics, again.best_step) == (whole.history, whole.metrics, whole.best_step)
    assert [row["step"] for row in again.timing] == [row["step"] for row in whole.timing]
    assert same(whole.best, again.best)
    assert same(whole.last, again.last)
    assert same(state, other)
    assert (whole.progress == again.progress).all()


@pytest.mark.parametrize("name", TRAINERS)
def test_saved_model_round_trip(data: Dataset, tmp_path: Path, name: str) -> None:
    trainer = TRAINERS[name](data, training=training(steps=2, batch=3, clip=None))
    done = train(trainer)
    card = trainer.card()
    write_model(tmp_path / "toy", done, card, trainer.samples())
    tensors, told = read_model(tmp_path / "toy", trainer.kind)
    assert same(tensors, done.best)
    assert same(tensors, trainer.model.state_dict())
    assert told["metrics"] == done.metrics
    assert json.loads(json.dumps(card)).items() <= told.items()
    assert {"kind", "name", "config", "size", "data", "parameters"} <= set(card)
    assert card["parameters"] == sum(weights.numel() for weights in trainer.model.parameters())
    assert trainer.validate()[LOSS] == pytest.approx(done.metrics[LOSS], rel=1e-4, abs=1e-6)
    preview = trainer.preview()
    assert preview is not None
    assert preview.shape == (2, 4, card["size"], card["size"], 3)
    assert trainer.summary(done.metrics)
    more = {"trainer": trainer} if trainer.kind == "landscape" else {}
    found = READERS[trainer.kind](tmp_path / "toy", device=CPU, **more)
    module: nn.Module = found.generator if trainer.kind == "gan" else found.module
    assert same(module.state_dict(), done.best)
    assert not module.training
    assert not any(weights.requires_grad for weights in module.parameters())
    with pytest.raises(UserError, match="kind"):
        read_model(tmp_path / "toy", "another")


@pytest.mark.parametrize("name", TRAINERS)
def test_another_dataset_raises(data: Dataset, name: str) -> None:
    with pytest.raises(UserError, match="photos.*toy"):
        TRAINERS[name](data, dataset="photos")


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_adversarial_losses_reach_one_side_only(data: Dataset, name: str) -> None:
    trainer = TRAINERS[name](data)
    assert trainer.discriminator is not None
    terms = trainer.loss([0, 1, 2, 3], dice(0, 1, 2, 3))
    assert all(value.ndim == 0 for value in terms.values())
    own, others = list(trainer.module.parameters()), list(trainer.discriminator.module.parameters())
    assert torch.autograd.grad(terms[DISCRIMINATOR], own, allow_unused=True, retain_graph=True) == (None,) * len(own)
    terms[LOSS].backward()
    assert all(weights.grad is None and weights.requires_grad for weights in others)
    assert all(weights.grad is not None for weights in own)
    terms[DISCRIMINATOR].backward()
    assert all(weights.grad is not None for weights in others)


@pytest.mark.parametrize("name", [name for name in TRAINERS if name not in ADVERSARIAL])
def test_only_the_module_learns(data: Dataset, name: str) -> None:
    trainer = TRAINERS[name](data)
    assert trainer.discriminator is None
    terms = trainer.loss([0, 1, 2, 3], dice(0, 1, 2, 3))
    assert DISCRIMINATOR not in terms
    terms[LOSS].backward()
    assert all(weights.grad is not None for weights in trainer.module.parameters() if weights.requires_grad)
