"""Landscapes: initial state, descents, replay, losses, training, saved models."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from relume.core.config import build
from relume.core.errors import UserError
from relume.data.store import Dataset
from relume.losses.perceptual import LPIPS_TAPS, lpips
from relume.methods.gan.generator import Generator, Noise
from relume.methods.gan.model import TrainedGan
from relume.methods.landscape.config import LandscapeArchitecture, SharedLandscape
from relume.methods.landscape.likeness import Likeness
from relume.methods.landscape.model import Landscape
from relume.methods.landscape.train import axes, relative
from relume.methods.landscape.trained import read_landscape
from relume.methods.landscape.trajectories import Going, descend
from relume.networks.taps import compute
from relume.training.loop import LOSS, train
from relume.training.models import write_model
from relume.training.replay import Ring
from tests.decoder_files import CPU, Store, training
from tests.evaluation_files import write_dataset
from tests.gan_files import dice
from tests.landscape_files import PLAIN_LOSS, SIDE, gan, shared, trainer


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_dataset(tmp_path_factory.mktemp("data") / "toy", size=SIDE)


def landscape(*, hidden: tuple[int, ...] = (8,), residual: bool = True, shape: tuple[int, ...] = (5,)) -> Landscape:
    architecture = LandscapeArchitecture(hidden=hidden, residual=residual, rotated=False)
    torch.manual_seed(0)
    return Landscape(torch.arange(torch.Size(shape).numel()).float().view(shape), 2.0, architecture)


@pytest.mark.parametrize("shape", [(5,), (2, 3)])
def test_residual_landscape_starts_as_identity(shape: tuple[int, ...]) -> None:
    made = landscape(shape=shape)
    z = torch.randn(4, made.centre.numel(), generator=dice(0)[0])
    assert torch.equal(made(z), made.latents(z))
    assert torch.equal(made.latents(z)[0], made.centre + 2 * z[0].view(shape))
    assert torch.allclose(made.units(made(z)), z, atol=1e-6)
    torch.nn.init.normal_(list(made.parameters())[-2])
    assert not torch.allclose(made(z), made.latents(z))
    assert torch.allclose(made(z[1:2]), made(z)[1:2], atol=1e-6), "rows are independent"


def test_rotated_landscape(data: Dataset) -> None:
    made = trainer(data, architecture={"rotated": True}, losses=PLAIN_LOSS)
    basis, z = made.model.basis, made.starts(dice(0, 1))
    assert basis is not None
    assert torch.allclose(basis.T @ basis, torch.eye(len(basis)), atol=1e-5)
    assert torch.equal(basis, axes(made.gradients()))
    assert torch.allclose(made.model.theta(z), z @ basis.T, atol=1e-6)
    assert torch.allclose(made.model.unturned(made.model.rotated(z)), z, atol=1e-5)


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.6, 0.9)])
def test_descent_equals_adam_per_row(betas: tuple[float, float]) -> None:
    goal = torch.tensor([[1.0, -2.0], [0.5, 3.0]])

    def see(z: Tensor) -> dict[str, Tensor]:
        return {LOSS: (z - goal).pow(4).sum(1)}

    moments = list(descend(see, torch.zeros(2, 2), steps=5, rate=0.1, betas=betas))
    assert [moment.step for moment in moments] == list(range(6))
    alone = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.Adam([alone], lr=0.1, betas=betas)
    for _ in range(5):
        optimizer.zero_grad()
        (alone - goal[1]).pow(4).sum().backward()
        optimizer.step()
    assert torch.allclose(moments[-1].z[1], alone.detach(), atol=1e-6)
    assert moments[-1].terms[LOSS].tolist() == pytest.approx(see(moments[-1].z)[LOSS].tolist())
    assert bool((moments[-1].terms[LOSS] < moments[0].terms[LOSS]).all())


def test_replay_ring() -> None:
    ring = Ring(states=torch.zeros(4, 1), pictures=torch.zeros(4, dtype=torch.int64))
    ring.add(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([1, 2, 3]))
    states, pictures = ring.draw(dice(*range(40)))
    assert set(pictures.tolist()) == {1, 2, 3}
    assert torch.equal(states[:, 0], pictures.float())
    ring.add(torch.tensor([[4.0], [5.0]]), torch.tensor([4, 5]))
    assert sorted(ring.pictures.tolist()) == [2, 3, 4, 5]
    assert set(ring.draw(dice(*range(60)))[1].tolist()) == {2, 3, 4, 5}


def test_finished_trajectory_restarts() -> None:
    """Two steps each, so every second renewal counts. Adam's state is reset: its first step equals the rate."""
    going = Going(1, 1, steps=2)
    asked: list[int] = []

    def see(z: Tensor, pictures: Tensor) -> dict[str, Tensor]:
        asked.extend(pictures.tolist())
        return {LOSS: z.sum(1)}

    for number in range(4):
        going.renew(torch.full((1, 1), 10.0 * (number + 1)), torch.tensor([number]))
        going.advance(see, 0.5, (0.9, 0.999))
        if number % 2 == 0:
            assert float(going.z) == pytest.approx(10.0 * (number + 1) - 0.5)
    assert asked == [0, 0, 2, 2]
    assert float(going.age) == 2


@pytest.mark.parametrize("extractor", ["alex", "vgg"])
def test_likeness(extractor: str) -> None:
    """At 32 px every tap of both networks has positions."""
    own = {"losses": {"mse": 2.0, "lpips": 0.5}, "measures": {"lpips": {"network": extractor}}}
    measure = Likeness(build(SharedLandscape, shared(**own), "toy"), Store(), CPU)  # type: ignore[arg-type]
    x, y = torch.rand(2, 2, 3, SIDE, SIDE, generator=dice(0)[0])
    found = measure(x, measure.target(y))
    network, taps = LPIPS_TAPS[extractor]
    assert measure.network is not None
    seen = [compute({network: measure.network}, one, {network: taps})[network] for one in (x, y)]
    far = lpips([seen[0][tap] for tap in taps], [seen[1][tap] for tap in taps], measure.heads)
    assert torch.allclose(found["lpips"], far)
    assert found["mse"].tolist() == pytest.approx((x - y).square().flatten(1).mean(1).tolist())
    assert torch.allclose(found[LOSS], 2 * found["mse"] + 0.5 * far)
    assert measure(x, measure.target(x))[LOSS].tolist() == pytest.approx([0, 0], abs=1e-6)


def test_step_fills_the_replay_and_trains_theta_only(data: Dataset) -> None:
    made = trainer(data)
    for rows in ([0, 1, 2], [1, 2, 3]):
        terms = made.loss(rows, dice(*rows))
    assert int(made.module.ring.seen) == 4
    assert made.module.ring.pictures[:4].tolist() == [0, 1, 0, 1], "a trajectory keeps its image"
    assert all(value.ndim == 0 for value in terms.values())
    assert all(weights.grad is None for weights in made.module.parameters()), "trajectories do not backpropagate into theta"
    terms[LOSS].backward()
    assert all(weights.grad is not None for weights in made.module.parameters())
    assert not any(weights.requires_grad for weights in made.painter.parameters())


def test_relative_loss() -> None:
    values = torch.tensor([0.1, 0.5, 3.0], requires_grad=True)
    found = relative(values)
    assert float(found.detach()) == pytest.approx(1.2)
    (loss_gradient,) = torch.autograd.grad(found, [values])
    (wanted,) = torch.autograd.grad(1.2 * values.log().mean(), [values])
    assert torch.allclose(loss_gradient, wanted)


class Tint(Generator):
    """Images of one colour, given by w."""

    def __init__(self) -> None:
        super().__init__(latent=3, width=3, layers=1, size=SIDE)

    def map(self, z: Tensor) -> Tensor:
        return z

    def paint(self, w: Tensor, noise: Noise | None) -> Tensor:
        return w[:, 0, :, None, None].sigmoid().expand(-1, -1, SIDE, SIDE)


def test_landscape_speeds_up_descents(data: Dataset) -> None:
    """Validation colours that need a dozen plain steps are reached in four."""
    steps = training(steps=150, batch=16, learning_rate=1e-2, clip=10.0, ema=0.0, log_every=50, validate_every=50)
    ways = {"steps": 4, "learning_rate": 0.1, "betas": [0.9, 0.999], "start": 0.0, "per_batch": 8}
    pictures = np.broadcast_to(np.random.default_rng(0).integers(0, 256, (60, 1, 1, 3), dtype=np.uint8), (60, SIDE, SIDE, 3))
    index = [{"id": f"{number}", "split": "val" if number < 8 else "train"} for number in range(60)]
    colours = replace(data, images=pictures, index=index)
    painter = TrainedGan(card={"name": "tint"}, module=Tint().eval())
    made = trainer(colours, trained=painter, losses=PLAIN_LOSS, training=steps, descents=ways, replay=32)
    assert made.validate()[LOSS] == pytest.approx(made.validate()["loss_plain"])
    done = train(made)
    assert done.metrics[LOSS] < 0.3 * done.metrics["loss_plain"]


def test_saved_landscape_belongs_to_its_generator(data: Dataset, tmp_path: Path) -> None:
    made = trainer(data, training=training(steps=1, batch=3), losses=PLAIN_LOSS)
    done = train(made)
    assert not [name for name in done.best | done.last if name.startswith(("ring", "going"))]
    write_model(tmp_path / "toy", done, made.card(), made.samples())
    assert read_landscape(tmp_path / "toy", gan(), CPU).config == made.config
    with pytest.raises(UserError, match="another generator than toy"):
        read_landscape(tmp_path / "toy", gan("dcgan"), CPU)
