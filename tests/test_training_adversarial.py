"""Two players: scores row by row within bounds, losses by hand, each player learns from its own loss, a kill loses neither."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from relume.core.checkpoint import Checkpoint
from relume.core.config import build
from relume.core.runtime import generator
from relume.data.store import Dataset
from relume.losses.gan import hinge_discriminator, hinge_generator
from relume.methods.decoder.discriminator import Discriminator
from relume.methods.decoder.train import Lesson, duel, loss, truth, validate
from relume.training.config import Training
from relume.training.loop import LOSS, Task, train
from relume.training.ranks import ALONE
from relume.training.rival import RIVAL, Opponent, Rival
from tests.decoder_files import CPU, RUN, dataset, toy, training

SIZE = 32


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset(tmp_path_factory.mktemp("data"))


def discriminator(channels: int = 5) -> Discriminator:
    torch.manual_seed(0)
    return Discriminator([channels], SIZE, 8)


def drawn(*shape: int, name: str = "x") -> Tensor:
    return torch.rand(*shape, generator=generator(0, name))


def test_losses_by_hand() -> None:
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, 0.0, 1.0])
    assert hinge_discriminator(real, fake).tolist() == [0.0, 1.5, 4.0]
    assert hinge_generator(fake).tolist() == [3.0, 0.0, -1.0]


@pytest.mark.parametrize("shape", [(5, 7, 7), (5,)], ids=["map", "vector"])
def test_rows_are_judged_apart_and_slopes_are_finite(shape: tuple[int, ...]) -> None:
    judge = discriminator().eval()
    pictures, features = drawn(3, 3, SIZE, SIZE).requires_grad_(), drawn(3, *shape, name="features")
    scores = judge(pictures, [features])
    assert scores.shape == (3,)
    assert torch.allclose(judge(pictures[1:2], [features[1:2]]), scores[1:2], atol=1e-5)
    assert not torch.allclose(judge(pictures, [features.flip(1)]), scores, atol=1e-5), "what was decoded matters"
    scores.sum().backward()
    assert pictures.grad is not None
    assert bool(torch.isfinite(pictures.grad).all())
    assert float(pictures.grad.abs().sum()) > 0
    assert bool(torch.isfinite(judge(pictures, [torch.zeros(3, *shape)])).all())


def test_all_taps_are_told_each_at_a_scale_of_its_own() -> None:
    """By hand: the pooled taps, in order, each with mean 0 and deviation 1 over its channels."""
    torch.manual_seed(0)
    judge = Discriminator([5, 3], SIZE, 8).eval()
    pictures, first, second = drawn(2, 3, SIZE, SIZE), drawn(2, 5, 7, 7, name="first"), drawn(2, 3, name="second")
    told: list[Tensor] = []
    judge.told.register_forward_pre_hook(lambda module, inputs: told.append(inputs[0]))
    scores = judge(pictures, [1000 * first, second])
    parts = [value - value.mean(1, keepdim=True) for value in (first.mean((2, 3)), second)]
    wanted = torch.cat([part / part.std(1, keepdim=True, correction=0) for part in parts], dim=1)
    assert torch.allclose(told[0], wanted, atol=1e-3), "but for what keeps constant taps finite"
    for changed in ([first.flip(1), second], [first, second.flip(1)]):
        assert not torch.allclose(judge(pictures, changed), scores, atol=1e-5)


def test_every_matrix_has_spectral_norm_one() -> None:
    judge = discriminator()
    for _ in range(50):  # a step of the power method each
        judge(drawn(1, 3, SIZE, SIZE), [drawn(1, 5, name="features")])
    layers = [layer for layer in judge.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    norms = [float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) for layer in layers]
    assert norms == pytest.approx([1.0] * len(layers), abs=0.02)
    assert len(layers) == 3 + 3, "from 32 to 4 px, and three that join"


def test_it_learns_to_tell_pictures_apart() -> None:
    """Noise from its own mean, whatever the features."""
    opponent = Opponent(Rival(module=discriminator(), learning_rate=0.01))
    told = []
    for step in range(60):
        pictures, features = drawn(4, 3, SIZE, SIZE, name=f"{step}"), [drawn(4, 5, name=f"features {step}")]
        grey = pictures.mean((2, 3), keepdim=True).expand_as(pictures)
        found = hinge_discriminator(opponent.module(pictures, features), opponent.module(grey, features)).mean()
        opponent.advance(found, 1.0, ALONE)
        told.append(float(found.detach()))
    assert told[-1] < 0.5 * told[0]


def adversarial(data: Dataset, **differences: Any) -> Lesson:
    return toy(data, losses={"adversarial": 0.3}, **{"taps": ["conv3", "pool"], **differences})


def test_each_players_loss_reaches_that_player_alone(data: Dataset) -> None:
    lesson = adversarial(data)
    assert lesson.rival is not None
    terms = loss(lesson, [0, 1], [generator(0, row) for row in range(2)])
    assert set(terms) == {LOSS, "pixel", "adversarial", RIVAL}
    assert float(terms[LOSS].detach()) == pytest.approx(float((terms["pixel"] + 0.3 * terms["adversarial"]).detach()))
    of_decoder = list(lesson.decoder.parameters())
    assert torch.autograd.grad(terms[RIVAL], of_decoder, allow_unused=True, retain_graph=True) == (None,) * len(of_decoder)
    slopes = torch.autograd.grad(terms["adversarial"], of_decoder, retain_graph=True)
    assert sum(float(slope.abs().sum()) for slope in slopes) > 0
    terms[LOSS].backward()
    of_rival = list(lesson.rival.parameters())
    assert all(weights.grad is None and weights.requires_grad for weights in of_rival)
    terms[RIVAL].backward()
    assert all(weights.grad is not None for weights in of_rival)
    images = lesson.pictures(lesson.train[:2])
    lesson.rival.eval()
    seen = list(truth(lesson, lesson.train[:2], images)["alexnet_conv"].values())
    assert torch.allclose(duel(lesson.rival, images, images, seen)["adversarial"], -lesson.rival(images, seen))


def test_validation_and_what_is_kept_know_nothing_of_it(data: Dataset) -> None:
    lesson = adversarial(data)
    assert validate(lesson).keys() == validate(toy(data)).keys()
    done = train(lesson.task(), lesson.config.training, RUN)
    assert done.best.keys() == lesson.decoder.state_dict().keys()
    terms = {row["term"] for row in done.history}
    assert {"train/adversarial", "train/rival"} <= terms
    assert {"val/adversarial", "val/rival"} & terms == set()


def test_a_weight_of_zero_builds_nothing(data: Dataset) -> None:
    lesson = toy(data)
    assert (lesson.rival, lesson.task().rival) == (None, None)
    assert set(loss(lesson, [0], [generator(0, 0)])) == {LOSS, "pixel"}


def settings() -> Training:
    return build(Training, training(steps=12, batch=4, log_every=2, learning_rate=0.05), "training")


def line(*, rival: bool) -> Task:
    """A line that learns from its error alone, and a critic that watches it."""
    torch.manual_seed(0)
    x = torch.linspace(-1, 1, 8)[:, None]
    made, critic = nn.Linear(1, 1), nn.Linear(1, 1)

    def terms(rows: list[int], draws: Sequence[torch.Generator]) -> dict[str, Tensor]:
        found = made(x[rows])
        error = (found - 3 * x[rows]).square().mean()
        return {LOSS: error} | ({RIVAL: hinge_discriminator(critic(3 * x[rows]), critic(found.detach())).mean()} if rival else {})

    def check() -> dict[str, float]:
        return {LOSS: float((made(x) - 3 * x).square().mean())}

    other = Rival(module=critic, learning_rate=0.01) if rival else None
    return Task(name="line", module=made, device=CPU, count=8, loss=terms, validate=check, rival=other)


def test_a_rival_that_is_not_listened_to_changes_no_bit() -> None:
    watched = line(rival=True)
    before = watched.rival and [value.clone() for value in watched.rival.module.state_dict().values()]
    done, alone = train(watched, settings(), RUN), train(line(rival=False), settings(), RUN)
    assert all(torch.equal(value, done.last[name]) for name, value in alone.last.items())
    assert watched.rival is not None
    assert before is not None
    after = watched.rival.module.state_dict().values()
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True)), "it has learned"


def test_a_killed_duel_goes_on_to_the_same_bits(tmp_path: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def fight(**options: Any) -> tuple[Any, Any]:
        lesson = adversarial(data)
        assert lesson.rival is not None
        return train(lesson.task(), lesson.config.training, RUN, **options), lesson.rival.state_dict()

    whole, rival = fight()
    monkeypatch.setattr(Checkpoint, "due", lambda self: True)

    def killed(step: int, values: object, sheet: object) -> None:
        if step == 4:
            raise KeyboardInterrupt

    path = tmp_path / "duel.safetensors"
    with pytest.raises(KeyboardInterrupt):
        fight(checkpoint=Checkpoint(path, []), watch=killed)
    again, other = fight(checkpoint=Checkpoint(path, []))
    assert again.history == whole.history
    assert all(torch.equal(value, again.last[name]) for name, value in whole.last.items())
    assert all(torch.equal(value, other[name]) for name, value in rival.items())
