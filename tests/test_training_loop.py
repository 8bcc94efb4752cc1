"""The training loop on a line: training, validation, previews, NaN, schedules, several processes."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from relume.core.config import build
from relume.core.errors import UserError
from relume.core.runtime import describe
from relume.training import loop
from relume.training.adversarial import DISCRIMINATOR, DiscriminatorState
from relume.training.config import Training
from relume.training.loop import TrainState, row_at, train
from relume.training.optimiser import Ema, learning_rate
from relume.training.ranks import ALONE, Ranks, ranks
from relume.training.trainer import LOSS, Trainer
from tests.decoder_files import CPU, RUN, training

ROOT = Path(__file__).resolve().parents[1]
X = torch.linspace(-1, 1, 12)[:, None]
Y = 3 * X - 1


def settings(**differences: Any) -> Training:
    return build(Training, training(**{"steps": 40, "batch": 4, "learning_rate": 0.1, **differences}), "training")


class Line(Trainer[Any]):
    """A linear model after batch normalisation, with one draw per sample, and an optional discriminator."""

    kind = "line"

    def __init__(self, *, broken_at: int | None = None, normed: bool = True, critic: float | None = None, **own: Any) -> None:
        self.name, self.run, self.device, self.train, self.ranks = "line", RUN, CPU, list(range(len(X))), ALONE
        self.config = type("Config", (), {"training": settings(**own)})
        torch.manual_seed(0)
        self.module = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 1)) if normed else nn.Sequential(nn.Linear(1, 1))
        self.broken_at, self.calls, self.previews = broken_at, 0, 0
        self.critic = critic  # its weight in the loss
        if critic is not None:
            self.discriminator = DiscriminatorState(nn.Linear(1, 1), learning_rate=0.01)

    def loss(self, rows: list[int], generators: Sequence[torch.Generator]) -> dict[str, Tensor]:
        noise = 0.01 * torch.stack([torch.randn(1, generator=draw) for draw in generators])
        made = self.module(X[rows] + noise)
        error = (made - Y[rows]).square().mean()
        broken, self.calls = self.broken_at == self.calls, self.calls + 1
        found = {LOSS: error * (torch.inf if broken else 1), "error": error}
        if self.critic is not None and self.discriminator is not None:
            critic = self.discriminator.module
            found[DISCRIMINATOR] = (critic(made.detach()) - critic(Y[rows])).mean()
            if self.critic:
                found[LOSS] = found[LOSS] - self.critic * critic(made).mean()
        return found

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        return {LOSS: float((self.module(X) - Y).square().mean())}


class Seen(Line):
    """Preview number n is two images of grey level n."""

    def preview(self) -> np.ndarray:
        self.previews += 1
        made = np.full((2, 2, 4, 4, 3), self.previews, np.uint8)
        made[0] = 255
        return made


@pytest.mark.parametrize("optimiser", ["adam", "adamw"])
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_training_keeps_the_best(optimiser: str, ema: float) -> None:
    seen: list[tuple[int, Mapping[str, float]]] = []
    line = Line(optimiser=optimiser, ema=ema)
    before = line.validate()[LOSS]
    done = train(line, on_log=lambda step, values, preview: seen.append((step, values)))
    values = {row["step"]: row["value"] for row in done.history if row["term"] == f"val/{LOSS}"}
    assert list(values) == list(range(2, 41, 2))
    assert done.metrics[LOSS] == min(values.values()) == values[done.best_step] < 0.1 * before
    assert line.validate()[LOSS] == pytest.approx(done.metrics[LOSS]), "the module ends with the best weights"
    assert not line.module.training
    assert [step for step, _ in seen] == list(range(1, 41))
    assert {"train/loss", "train/error", "train/gradient", "learning_rate"} <= set(seen[0][1])
    assert [row["step"] for row in done.timing] == list(range(1, 41))
    assert done.progress is None


@pytest.mark.parametrize(
    ("steps", "previews"), [(6, [1, 2, 3]), (5, [1, 2, 3]), (32, [2, 4, 6, 8, 10, 12, 14, 16]), (19, [2, 3, 4, 5, 7, 8, 9, 10])]
)
def test_previews_are_evenly_spread(steps: int, previews: list[int]) -> None:
    progress = train(Seen(steps=steps, log_every=1, validate_every=2)).progress
    assert progress is not None
    rows = [int(progress[at, 0, 0]) for at in range(0, len(progress), 6)]
    assert rows == [255, *previews]


def test_nan_or_inf_raises() -> None:
    with pytest.raises(UserError, match=r"line: step 5: loss is NaN or Inf"):
        train(Line(broken_at=5, log_every=4, validate_every=4))


def test_epoch_order() -> None:
    first, second = ([row_at(epoch * 12 + place, 12, 0) for place in range(12)] for epoch in range(2))
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second
    assert first != [row_at(place, 12, 1) for place in range(12)]


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ({"kind": "constant"}, [0.5, 1, 1, 1, 1]),
        ({"kind": "step", "every": 2, "gamma": 0.5}, [0.5, 1, 0.5, 0.5, 0.25]),
        ({"kind": "cosine", "final": 0.0}, [0.5, 0.904508, 0.654508, 0.345492, 0.095492]),
        ({"kind": "cosine", "final": 0.5}, [0.5, 0.952254, 0.827254, 0.672746, 0.547746]),
    ],
)
def test_learning_rate_schedules(schedule: dict[str, Any], rates: list[float]) -> None:
    config = settings(steps=5, learning_rate=1.0, warmup=2, schedule=schedule)
    assert [learning_rate(config, step) for step in range(5)] == pytest.approx(rates, abs=1e-6)


def test_gradient_clipping() -> None:
    """Adam's step does not depend on the gradient's norm, but its first moment is (1 - beta) times the gradient."""
    state = TrainState(Line(clip=1e-3))
    state.advance()
    moments = torch.cat([entry["exp_avg"].flatten() for entry in state.optimizer.state.values()])
    assert float(moments.norm()) == pytest.approx(0.1 * 1e-3, rel=1e-4)
    assert float(state.pending[0]["gradient"]) > 1e-3, "the history has the norm before clipping"


def test_ema() -> None:
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, 0.0)
    ema = Ema(module, 0.5)
    nn.init.constant_(module.weight, 1.0)
    ema.update(module, 0)  # decay 1 / 10
    assert float(ema.values["weight"]) == pytest.approx(0.9)
    nn.init.constant_(module.weight, 2.0)
    ema.update(module, 1000)  # decay 1 / 2
    assert float(ema.values["weight"]) == pytest.approx(1.45)
    with ema.applied(module):
        assert module.weight.item() == pytest.approx(1.45)
    assert module.weight.item() == 2.0


def test_batch_is_shared_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [Ranks(rank, 2).share([5, 6, 7, 8]) for rank in range(2)] == [[5, 7], [6, 8]]
    with pytest.raises(UserError, match=r"batch: .*processes, 2; got 3"):
        Ranks(0, 2).share([1, 2, 3])
    with ranks(CPU) as here:
        assert here == Ranks(0, 1)
    assert here.describe(CPU) == describe(CPU)
    assert Ranks(1, 2).describe(CPU) == f"{describe(CPU)}, 2 processes"
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match=r"run.device: .* mps"), ranks(torch.device("mps")):
        pass


TOLERANCE = 1e-5  # after 40 steps; only the order of sums differs
PROGRAMME = """
import sys, torch
from relume.training.loop import train
from relume.training.ranks import ranks
from tests.decoder_files import CPU
from tests.test_training_loop import shared_line
with ranks(CPU) as here:
    line = shared_line()
    line.ranks = here
    done = train(line)
    if here.first:
        torch.save(done.last, sys.argv[1])
"""


def shared_line() -> Line:
    """With a discriminator, and without batch normalisation, whose statistics are per process."""
    return Line(normed=False, critic=0.1, ema=0.0)


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path) -> None:
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    (tmp_path / "programme.py").write_text(PROGRAMME)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    out = tmp_path / "last.pt"
    subprocess.run([*command, str(tmp_path / "programme.py"), str(out)], env=env, check=True, capture_output=True, timeout=120)
    together, alone = torch.load(out), train(shared_line()).last
    for name, value in alone.items():
        assert torch.allclose(together[name], value, atol=TOLERANCE), name


def test_discriminator_without_weight_changes_nothing() -> None:
    watched, alone = Line(critic=0.0), Line()
    assert watched.discriminator is not None
    before = [value.clone() for value in watched.discriminator.module.state_dict().values()]
    done, plain = train(watched), train(alone)
    assert all(torch.equal(value, done.last[name]) for name, value in plain.last.items())
    after = watched.discriminator.module.state_dict().values()
    assert not all(torch.equal(a, b) for a, b in zip(before, after, strict=True)), "it has learned"
    assert {"train/discriminator", "val/loss"} <= {row["term"] for row in done.history}


def test_autocast_in_steps_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "autocast", lambda run, device: torch.autocast("cpu", torch.bfloat16))
    seen: list[tuple[str, bool]] = []

    class Noted(Line):
        def loss(self, *batch: Any) -> dict[str, Tensor]:
            seen.append(("step", torch.is_autocast_enabled("cpu")))
            return super().loss(*batch)

        def validate(self) -> dict[str, float]:
            seen.append(("validation", torch.is_autocast_enabled("cpu")))
            return super().validate()

    train(Noted(steps=2))
    assert seen == [("step", True), ("step", True), ("validation", False)]
