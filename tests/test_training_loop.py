"""The loop on a line to be fitted: it learns, repeats to the bit, a kill loses nothing, shares of a batch are the batch."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from relume.core.checkpoint import Checkpoint
from relume.core.config import build
from relume.core.errors import UserError
from relume.core.runtime import describe
from relume.training import loop
from relume.training.config import Training
from relume.training.ema import Ema
from relume.training.loop import LOSS, Task, row_at, train
from relume.training.models import Trained
from relume.training.ranks import Ranks, ranks
from relume.training.rival import RIVAL, Rival
from relume.training.schedules import learning_rate
from tests.decoder_files import CPU, RUN, training

MPS = torch.device("mps")
ROOT = Path(__file__).resolve().parents[1]
X = torch.linspace(-1, 1, 12)[:, None]
Y = 3 * X - 1


def settings(**differences: Any) -> Training:
    return build(Training, training(**{"steps": 40, "batch": 4, "learning_rate": 0.1, **differences}), "training")


def task(broken_at: int | None = None) -> Task:
    """A line with batch normalisation before it: something with buffers, and a draw per sample."""
    torch.manual_seed(0)
    line = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 1))
    calls: list[int] = []

    def loss(rows: list[int], draws: Sequence[torch.Generator]) -> dict[str, Tensor]:
        calls.append(len(rows))
        noise = 0.01 * torch.stack([torch.randn(1, generator=draw) for draw in draws])
        error = (line(X[rows] + noise) - Y[rows]).square().mean()
        return {LOSS: error * (torch.inf if broken_at == len(calls) - 1 else 1), "error": error}

    @torch.no_grad()
    def validate() -> dict[str, float]:
        return {LOSS: float((line(X) - Y).square().mean())}

    return Task(name="line", module=line, device=CPU, count=len(X), loss=loss, validate=validate)


@pytest.mark.parametrize("optimiser", ["adam", "adamw"])
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_it_learns_and_keeps_the_best(optimiser: str, ema: float) -> None:
    seen: list[tuple[int, Mapping[str, float]]] = []
    work = task()
    before = work.validate()[LOSS]
    done = train(work, settings(optimiser=optimiser, ema=ema), RUN, watch=lambda step, values, sheet: seen.append((step, values)))
    values = {row["step"]: row["value"] for row in done.history if row["term"] == f"val/{LOSS}"}
    assert list(values) == list(range(2, 41, 2))
    assert done.metrics[LOSS] == min(values.values()) == values[done.best_step] < 0.1 * before
    work.module.eval()
    assert work.validate()[LOSS] == pytest.approx(done.metrics[LOSS]), "the module ends with the best weights"
    assert [step for step, _ in seen] == list(range(1, 41))
    assert {"train/loss", "train/error", "train/gradient", "learning_rate"} <= set(seen[0][1])
    assert [row["step"] for row in done.timing] == list(range(1, 41))


def same(a: Trained, b: Trained) -> bool:
    weights = all(torch.equal(a.best[name], b.best[name]) and torch.equal(a.last[name], b.last[name]) for name in a.best)
    return weights and (a.history, a.metrics, a.best_step) == (b.history, b.metrics, b.best_step)


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_killed_training_goes_on_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ema: float) -> None:
    config = settings(log_every=2, ema=ema)
    whole = train(task(), config, RUN)
    assert same(whole, train(task(), config, RUN))
    path = tmp_path / "run.safetensors"
    monkeypatch.setattr(Checkpoint, "due", lambda self: True)

    def killed(step: int, values: object, sheet: object) -> None:
        if step == 22:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(task(), config, RUN, checkpoint=Checkpoint(path, []), watch=killed)
    steps: list[int] = []
    again = train(task(), config, RUN, checkpoint=Checkpoint(path, []), watch=lambda step, values, sheet: steps.append(step))
    assert steps == list(range(22, 41, 2)), "it began where the last checkpoint was"
    assert same(whole, again)
    assert [row["step"] for row in again.timing] == [row["step"] for row in whole.timing]


def test_autocast_is_for_steps_and_not_for_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "autocast", lambda run, device: torch.autocast("cpu", torch.bfloat16))
    work = task()
    seen: list[tuple[str, bool]] = []

    def loss(rows: list[int], draws: Sequence[torch.Generator]) -> dict[str, Tensor]:
        seen.append(("step", torch.is_autocast_enabled("cpu")))
        return work.loss(rows, draws)

    def validate() -> dict[str, float]:
        seen.append(("validation", torch.is_autocast_enabled("cpu")))
        return work.validate()

    train(replace(work, loss=loss, validate=validate), settings(steps=2), RUN)
    assert seen == [("step", True), ("step", True), ("validation", False)]


def test_seconds_are_those_of_steps_and_of_the_wait_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that steps move by 1, the wait for a row of the history by 5, and validation by 100."""
    now, work, means = [0.0], task(), loop.Course._means

    def after(seconds: float, value: Callable[[], Any]) -> Any:
        now[0] += seconds
        return value()

    monkeypatch.setattr("relume.training.loop.time.perf_counter", lambda: now[0])
    monkeypatch.setattr(loop.Course, "_means", lambda self: after(5, lambda: means(self)))
    slow = replace(work, loss=lambda *batch: after(1, lambda: work.loss(*batch)), validate=lambda: after(100, work.validate))
    done = train(slow, settings(steps=5, log_every=2), RUN)
    assert done.timing == [{"step": 2, "seconds": 7.0}, {"step": 4, "seconds": 14.0}, {"step": 5, "seconds": 20.0}]


def watched() -> Task:
    """A line each look at which is two grey pictures of the look's number."""
    line, seen = task(), count(1)

    def look() -> np.ndarray:
        made = np.full((2, 2, 4, 4, 3), next(seen), np.uint8)
        made[0] = 255
        return made

    return replace(line, look=look)


def rows(progress: np.ndarray | None) -> list[int]:
    assert progress is not None
    return [int(progress[at, 0, 0]) for at in range(0, len(progress), 6)]


@pytest.mark.parametrize(
    ("steps", "every", "looks"),
    [(6, 2, [1, 2, 3]), (5, 2, [1, 2, 3]), (32, 2, [2, 4, 6, 8, 10, 12, 14, 16]), (19, 2, [2, 3, 4, 5, 7, 8, 9, 10])],
)
def test_looks_are_kept_evenly_spread_with_the_last(steps: int, every: int, looks: list[int]) -> None:
    done = train(watched(), settings(steps=steps, log_every=1, validate_every=every), RUN)
    assert rows(done.progress) == [255, *looks], "the samples come first"


def test_looks_outlast_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Checkpoint, "due", lambda self: True)
    work, config = watched(), settings(steps=8, log_every=1, validate_every=1)

    def killed(step: int, values: object, sheet: object) -> None:
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(work, config, RUN, checkpoint=Checkpoint(tmp_path / "c", []), watch=killed)
    again = train(work, config, RUN, checkpoint=Checkpoint(tmp_path / "c", []))
    assert rows(again.progress) == [255, 1, 2, 3, 4, 6, 7, 8, 9], "look 5 was not yet written down, and is made again"
    assert train(task(), config, RUN).progress is None


def test_numbers_that_are_none_stop_it_by_step_and_term() -> None:
    with pytest.raises(UserError, match=r"line: step 5: loss is not finite"):
        train(task(broken_at=5), settings(log_every=4, validate_every=4), RUN)


def test_every_epoch_goes_through_all_samples_in_an_order_of_its_own() -> None:
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
def test_schedules_by_hand(schedule: dict[str, Any], rates: list[float]) -> None:
    config = settings(steps=5, learning_rate=1.0, warmup=2, schedule=schedule)
    assert [learning_rate(config, step) for step in range(5)] == pytest.approx(rates, abs=1e-6)


def test_the_gradient_is_clipped() -> None:
    """Plain Adam is blind to a gradient's length, so its memory tells: the first moment is (1 - beta) times the gradient."""
    work = task()
    course = loop.Course(work, settings(clip=1e-3), RUN, watch=lambda step, values, sheet: None, ranks=Ranks())
    course.advance()
    moments = torch.cat([entry["exp_avg"].flatten() for entry in course.mover.state.values()])
    assert float(moments.norm()) == pytest.approx(0.1 * 1e-3, rel=1e-4)
    assert float(course.pending[0]["gradient"]) > 1e-3, "the history tells what it was before"


def test_the_average_of_weights_by_hand() -> None:
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


def test_a_checkpoint_takes_little_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 1.0, 5.0, 85.0, 86.0])  # born; writing begins, ends; asked, asked
    monkeypatch.setattr("relume.core.checkpoint.time.monotonic", lambda: next(now))
    checkpoint = Checkpoint(tmp_path / "c", [])
    checkpoint.write({"x": torch.zeros(1)}, {})
    assert not checkpoint.due(), "80 seconds after a writing of 4"
    assert checkpoint.due()


def test_a_batch_is_shared_evenly_or_not_at_all() -> None:
    assert [Ranks(rank, 2).share([5, 6, 7, 8]) for rank in range(2)] == [[5, 7], [6, 8]]
    with pytest.raises(UserError, match="batch: 3 cannot be shared evenly by 2 processes: take a multiple of that"):
        Ranks(0, 2).share([1, 2, 3])
    with ranks(CPU) as here:
        assert here == Ranks(0, 1)


def test_the_device_is_told_with_its_processes() -> None:
    assert Ranks(0, 1).describe(CPU) == describe(CPU)
    assert Ranks(0, 2).describe(CPU) == Ranks(1, 2).describe(CPU) == f"{describe(CPU)}, 2 processes"


def test_processes_train_together_where_they_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="run.device: several processes train together on cpu or cuda, not on mps"), ranks(MPS):
        pass


TOLERANCE = 1e-5  # of weights after 40 steps; only sums are taken in another order
PROGRAMME = """
import sys, torch
from torch import nn
from relume.training.loop import train
from relume.training.ranks import ranks
from tests.decoder_files import CPU, RUN
from tests.test_training_loop import settings, shared_task
with ranks(CPU) as here:
    done = train(shared_task(), settings(ema=0.0), RUN, ranks=here)
    if here.first:
        torch.save(done.last, sys.argv[1])
"""


def shared_task() -> Task:
    """Without batch normalisation, whose statistics are those of a share and not of the batch; with a second player."""
    whole = task()
    line = nn.Linear(1, 1)
    nn.init.zeros_(line.weight)
    nn.init.zeros_(line.bias)
    critic = nn.Linear(1, 1)
    nn.init.ones_(critic.weight)

    def loss(rows: list[int], draws: Sequence[torch.Generator]) -> dict[str, Tensor]:
        noise = 0.01 * torch.stack([torch.randn(1, generator=draw) for draw in draws])
        made = line(X[rows] + noise)
        error = (made - Y[rows]).square().mean()
        return {LOSS: error - 0.1 * critic(made).mean(), RIVAL: (critic(made.detach()) - critic(Y[rows])).mean()}

    @torch.no_grad()
    def validate() -> dict[str, float]:
        return {LOSS: float((line(X) - Y).square().mean())}

    rival = Rival(module=critic, learning_rate=0.01)
    return Task(name="line", module=line, device=CPU, count=whole.count, loss=loss, validate=validate, rival=rival)


@pytest.mark.slow
def test_two_processes_compute_what_one_does(tmp_path: Path) -> None:
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    (tmp_path / "programme.py").write_text(PROGRAMME)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    out = tmp_path / "last.pt"
    subprocess.run([*command, str(tmp_path / "programme.py"), str(out)], env=env, check=True, capture_output=True, timeout=120)
    together, alone = torch.load(out), train(shared_task(), settings(ema=0.0), RUN).last
    for name, value in alone.items():
        assert torch.allclose(together[name], value, atol=TOLERANCE), name
