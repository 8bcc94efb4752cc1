"""Training of generators: augmentation, terms, objectives with and without a discriminator, faults."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from relume.core.config import build
from relume.core.errors import UserError
from relume.data.store import Dataset
from relume.losses.gan import WIDTHS, discrepancy
from relume.methods.gan.adversary import Paths, coloured, cut, diff_augment, lengths, shifted
from relume.methods.gan.config import DiffAugment
from relume.methods.gan.generator import Generator, Noise
from relume.methods.gan.moments import grain
from relume.training.adversarial import DISCRIMINATOR
from relume.training.loop import LOSS, train
from tests.decoder_files import entries, training
from tests.evaluation_files import write_dataset
from tests.gan_files import DUELS, KINDS, dice, shared, trainer
from tests.training_files import MOMENTS

NOTHING = {"colour": False, "translate": 0.0, "cutout": 0.0}
IMAGES = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_augment_shift() -> None:
    found = shifted(IMAGES, torch.tensor([[2.0, 0, -1], [0, -3, 20]]))
    assert torch.equal(found[0, :, 2:], IMAGES[0, :, :-2])
    assert bool((found[0, :, :2] == 0.5).all())
    assert torch.equal(found[1, :, :, :-3], IMAGES[1, :, :, 3:])
    assert bool((found[1, :, :, -3:] == 0.5).all())
    assert bool((found[2] == 0.5).all())


def test_augment_cutout() -> None:
    """A square of 4 of 8 pixels, its corner from -2 to 6."""
    found = cut(IMAGES, 0.5, torch.tensor([[0.0, 0.5, 0.999], [0.0, 0.5, 0.0]]))
    dark = (found == 0.5).all(1)
    assert dark.sum((1, 2)).tolist() == [4, 16, 4]
    assert bool(dark[0, :2, :2].all())
    assert bool(dark[1, 2:6, 2:6].all())
    assert bool(dark[2, 6:, :2].all())
    assert torch.equal(found[0][:, ~dark[0]], IMAGES[0][:, ~dark[0]])


def test_augment_colour() -> None:
    half = torch.tensor([0.5, 0.5, 0.5])
    assert torch.allclose(coloured(IMAGES, torch.stack([half, half, half])), IMAGES, atol=1e-6), "draws of 0.5 change nothing"
    grey = coloured(IMAGES, torch.stack([half + 0.25, 0 * half, half]))
    assert torch.allclose(grey, IMAGES.mean(1, keepdim=True).expand_as(IMAGES) + 0.125, atol=1e-6)
    flat = coloured(IMAGES, torch.stack([half, half, 0 * half]))
    assert torch.allclose(
        flat - flat.mean((1, 2, 3), keepdim=True), 0.5 * (IMAGES - IMAGES.mean((1, 2, 3), keepdim=True)), atol=1e-6
    )


def test_diff_augment_per_row_and_differentiable() -> None:
    config = DiffAugment(colour=True, translate=0.25, cutout=0.25)
    images = IMAGES.clone().requires_grad_()
    shown = diff_augment(images, config, dice(0, 1, 2))
    assert torch.allclose(diff_augment(IMAGES[1:2], config, dice(1)), shown[1:2])
    assert not torch.allclose(shown, IMAGES, atol=0.01)
    (gradient,) = torch.autograd.grad(shown[0].sum(), [images])
    assert gradient[0].abs().max() > 0
    assert gradient[1:].abs().max() == 0
    assert diff_augment(IMAGES, build(DiffAugment, NOTHING, "x"), []) is IMAGES


class Scaled(Generator):
    """Its picture is a multiple of w, pixel by pixel."""

    def __init__(self, by: float) -> None:
        super().__init__(latent=48, width=48, layers=1, size=4)
        self.by = torch.nn.Parameter(torch.tensor(by))

    def map(self, z: Tensor) -> Tensor:
        return z

    def paint(self, w: Tensor, noise: Noise | None) -> Tensor:
        return self.by * w[:, 0].view(-1, 3, 4, 4)


def test_path_lengths_of_a_linear_generator() -> None:
    """J is `by` times the identity, so |J^T y| / size is 2 by |y| / size."""
    draws = dice(0, 1)
    y = [torch.cat([torch.randn(48, generator=one) for _ in range(2)][1:]) for one in draws]
    found = lengths(Scaled(0.3), dice(0, 1))
    assert found.tolist() == pytest.approx([2 * 0.3 * float(one.norm()) / 4 for one in y], rel=1e-4)
    paths, made = Paths(), Scaled(0.3)
    penalty = paths(made, dice(0, 1))
    found = found.detach()
    assert float(paths.running_mean) == pytest.approx(0.01 * float(found.mean()), rel=1e-4)
    assert penalty.tolist() == pytest.approx((found - paths.running_mean).square().tolist(), rel=1e-4)
    penalty.sum().backward()
    assert made.by.grad is not None
    assert float(made.by.grad) > 0


def test_logistic_terms_add_up(data: Dataset) -> None:
    made = trainer(data, "style", objective=DUELS["style"] | {"r1_every": 1, "path_every": 1})
    terms = {name: float(value.detach()) for name, value in made.loss([0, 1, 2, 3], dice(0, 1, 2, 3)).items()}
    assert set(terms) == {LOSS, DISCRIMINATOR, "fooled", "path", "told", "r1"}
    assert terms[LOSS] == pytest.approx(terms["fooled"] + terms["path"])
    assert terms[DISCRIMINATOR] == pytest.approx(terms["told"] + terms["r1"])
    assert terms["r1"] > 0


def test_lazy_regularisation(data: Dataset) -> None:
    """It applies in one of three steps, with three times the weight."""
    objective = DUELS["style"] | {"r1_every": 3, "path_length": 0.0}
    made = trainer(data, "style", objective=objective, diff_augment=NOTHING)
    made.module.eval()
    found = [float(made.loss([0], dice(seed))["r1"].detach()) for seed in range(30)]
    assert 3 <= sum(value > 0 for value in found) <= 17
    always = trainer(data, "style", objective=objective | {"r1_every": 1}, diff_augment=NOTHING)
    due = next(seed for seed, value in enumerate(found) if value > 0)
    assert found[due] == pytest.approx(3 * float(always.loss([0], dice(due))["r1"].detach()), rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_training_lowers_the_metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Images that are red on the left or green on the right, embedded as 4 x 4 px."""
    monkeypatch.setattr(
        "relume.methods.gan.train.embed", lambda network, metric_network, x: 4 * F.adaptive_avg_pool2d(x - 0.5, 4).flatten(1)
    )
    pictures = np.full((24, 8, 8, 3), 40, np.uint8)
    pictures[::2, :, :4, 0] = pictures[1::2, :, 4:, 1] = 220
    data = replace(write_dataset(tmp_path / "toy", size=8, each=8), images=pictures)
    own = training(steps=150, batch=8, learning_rate=3e-3, betas=[0.5, 0.99], clip=None, ema=0.9, log_every=50, validate_every=50)
    plain = {"augment": {"flip": False, "crop": 0.0, "colour": 0.0}, "diff_augment": NOTHING}
    calm = plain | {"discriminator_rate": 3e-3, "samples": 16}
    objective = DUELS[kind] | ({"r1": 0.1, "path_length": 0.0} if kind == "style" else {"history": 32})
    made = trainer(data, kind, objective=objective, training=own | {"schedule": {"kind": "constant"}}, **calm)
    before = made.validate()[LOSS]
    assert train(made).metrics[LOSS] < 0.6 * before


@pytest.mark.parametrize("kind", KINDS)
def test_last_weights_and_mean_latent_are_kept(data: Dataset, kind: str) -> None:
    made = trainer(data, kind, training=training(steps=2, batch=4))
    done = train(made)
    assert done.best_step == 2
    assert all(torch.equal(done.best[name], value) for name, value in done.last.items() if name != "running_mean")
    assert bool(done.best["running_mean"].any()) == (kind != "dcgan")


def test_faults_are_reported_together() -> None:
    section = {"shared": shared(), "models": {"a": {"objective": DUELS["dcgan"] | {"history": 3}}, "b": {"samples": 1}}}
    with pytest.raises(UserError, match=r"models.a.objective.history: must be at least the batch, 4(.|\n)*models.b.samples"):
        entries("train_gan", section)
    assert set(entries("train_gan", {"shared": shared(), "models": {"a": {}}})) == {"a"}


PLAIN = {"network": "alexnet_conv", "tap": "conv1"}


def test_discrepancy() -> None:
    """Two numbers each; k(a, b) = mean of (1 + |a - b|^2 / (2 width))^-1/2."""
    x, y = torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]])

    def k(squared: float) -> float:
        return sum((1 + squared / 2 / width) ** -0.5 for width in WIDTHS) / len(WIDTHS)

    first = k(2) - 2 / 3 * (k(0) + k(4) + k(16))
    second = k(2) - 2 / 3 * (k(2) + k(2) + k(10))
    assert discrepancy(x, y).tolist() == pytest.approx([first, second], rel=1e-5)


def test_grain() -> None:
    """Alternating rows of 0 and 1 in the first channel; the other channels are constant."""
    picture = torch.full((1, 3, 4, 4), 0.5)
    picture[:, 0] = torch.tensor([0.0, 1, 0, 1])[:, None]
    assert grain(picture)[0].tolist() == pytest.approx([1 / 3, 0, 0.5, 0.5, 0.5, 0.5001**0.5 * 0.5**0.5, 0.01, 0.01], abs=1e-3)


def test_moments_of_real_images_are_nearer(data: Dataset) -> None:
    reference = trainer(data, "style", objective=MOMENTS, metric_network=PLAIN).reference
    assert reference is not None
    true = data.pixels(data.select("train")[:4])
    far = torch.rand(true.shape, generator=dice(1)[0])
    assert float(reference(true).mean()) < float(reference(far).mean()) - 0.1
    assert all(one.shape[0] == 8 for one in reference.true), "four, and their mirror images"
    assert all(float(one.mean(0).abs().max()) < 1e-3 for one in reference.true)
