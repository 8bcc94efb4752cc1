"""The loop, whatever is trained: seeded batches, one optimiser, averages, validation, best and last weights, resuming.

Everything random is drawn from a generator of its own per sample, made from the seed and the sample's place in the whole
training: there is no generator's state to keep, and whoever resumes, or takes a share of a batch, draws the same.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from relume.core.checkpoint import Checkpoint
from relume.core.errors import UserError
from relume.core.images import grid
from relume.core.run import Run
from relume.core.runtime import autocast, generator
from relume.training import optimiser
from relume.training.config import Training
from relume.training.ema import Ema, State, copied
from relume.training.models import Trained
from relume.training.progress import Progress
from relume.training.ranks import ALONE, Ranks, synced
from relume.training.rival import RIVAL, Opponent, Rival
from relume.training.schedules import learning_rate

LOSS = "loss"  # the term that is minimised; of validation, the one by which the best weights are chosen

Watch = Callable[[int, Mapping[str, float], np.ndarray | None], None]  # step, values, a sheet of pictures
Loss = Callable[[list[int], Sequence[torch.Generator]], dict[str, Tensor]]  # samples and their generators -> terms, scalars


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is to be trained, on what. `module` is on its device; `loss` and `validate` look at it as it stands."""

    name: str
    module: nn.Module
    device: torch.device
    count: int  # samples; `loss` is given their numbers
    loss: Loss
    validate: Callable[[], dict[str, float]]
    look: Callable[[], np.ndarray] | None = None  # uint8 (2, K, H, W, 3): samples over what is made of them
    rival: Rival | None = None  # who minimises the term RIVAL of `loss`


def unwatched(step: int, values: Mapping[str, float], sheet: np.ndarray | None) -> None:
    """Nobody looks on."""


def train(
    task: Task,
    config: Training,
    run: Run,
    *,
    checkpoint: Checkpoint | None = None,
    watch: Watch = unwatched,
    ranks: Ranks = ALONE,
) -> Trained:
    """Minimise the loss. With the same checkpoint a killed training goes on to the same bits."""
    course = Course(task, config, run, watch=watch, ranks=ranks)
    if checkpoint is not None:
        course.restore(checkpoint)
    hidden = not ranks.first
    with tqdm(total=config.steps, initial=course.step, desc=task.name, unit="step", dynamic_ncols=True, disable=hidden) as bar:
        while course.step < config.steps:
            course.advance()
            bar.update(course.step - bar.n)
            if course.due():
                shown = course.flush()
                bar.set_postfix(shown, refresh=False)
                if checkpoint is not None and ranks.first and checkpoint.due():
                    course.save(checkpoint)
    return course.finish()


@dataclass
class Best:
    """The weights that did best on the validation samples."""

    weights: State
    step: int = -1
    metrics: dict[str, float] = field(default_factory=dict)

    def see(self, step: int, module: nn.Module, metrics: dict[str, float]) -> None:
        if self.step < 0 or metrics[LOSS] < self.metrics[LOSS]:
            self.weights, self.step, self.metrics = copied(module.state_dict()), step, metrics


class Course:
    """Where a training stands."""

    def __init__(self, task: Task, config: Training, run: Run, *, watch: Watch, ranks: Ranks) -> None:
        self.task, self.config, self.run, self.watch, self.ranks = task, config, run, watch, ranks
        self.module = task.module
        self.mover = optimiser.build(self.module, config)
        self.opponent = Opponent(task.rival) if task.rival is not None else None
        self.ema = Ema(self.module, config.ema) if config.ema else None
        self.best = Best(copied(self.module.state_dict()))
        self.progress = Progress(self._looks(config.steps))
        self.step = 0
        self.seconds = 0.0  # of all steps, with the wait for the device to end them; without validation, looks and checkpoints
        self.pending: list[dict[str, Tensor]] = []  # terms of the steps since the last row of the history, on the device
        self.history: list[dict[str, Any]] = []
        self.timing: list[dict[str, float]] = []

    def advance(self) -> None:
        """One step. Nothing here waits for the device."""
        started = time.perf_counter()
        self.pending.append(self._move(self._terms()))
        self.step += 1
        self.seconds += time.perf_counter() - started

    def _terms(self) -> dict[str, Tensor]:
        """Of this process's share of the step's batch."""
        batch = self.config.batch
        places = self.ranks.share(range(self.step * batch, (self.step + 1) * batch))
        rows = [row_at(place, self.task.count, self.run.seed) for place in places]
        draws = [generator(self.run.seed, "augment", place) for place in places]
        self.module.train()
        with autocast(self.run, self.task.device):
            return self.task.loss(rows, draws)

    def _move(self, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Both players' weights, by the gradients of their terms; returns what the history is to tell, over all processes."""
        config = self.config
        self.mover.zero_grad(set_to_none=True)
        terms[LOSS].backward()
        self.ranks.average(synced(self.module))
        logged = {name: value.detach().clone() for name, value in terms.items()}
        self.ranks.average(list(logged.values()))
        if config.clip is not None:
            logged["gradient"] = nn.utils.clip_grad_norm_(self.module.parameters(), config.clip).detach()
        rate = learning_rate(config, self.step)
        for group in self.mover.param_groups:
            group["lr"] = rate
        self.mover.step()
        if self.opponent is not None:
            self.opponent.advance(terms[RIVAL], rate / config.learning_rate, self.ranks)
        if self.ema is not None:
            self.ema.update(self.module, self.step)
        return logged

    def due(self) -> bool:
        """Time for a row of the history. Only then may a checkpoint be written: rows do not depend on when it is."""
        return self.step % self.config.log_every == 0 or self.step == self.config.steps

    def flush(self) -> dict[str, float]:
        """Rows of the history since the last, and a look at the validation samples where that is due."""
        started = time.perf_counter()
        values = {f"train/{name}": value for name, value in self._means().items()}
        self.seconds += time.perf_counter() - started
        values["learning_rate"] = learning_rate(self.config, self.step - 1)
        sheet = None
        if self.step % self.config.validate_every == 0 or self.step == self.config.steps:
            values |= {f"val/{name}": value for name, value in self._validate().items()}
            sheet = self._look()
        self.history += [{"step": self.step, "term": name, "value": value} for name, value in sorted(values.items())]
        self.timing.append({"step": self.step, "seconds": self.seconds})
        self.watch(self.step, values, sheet)
        return {"loss": values[f"train/{LOSS}"], "val": self.best.metrics.get(LOSS, float("nan"))}

    def _means(self) -> dict[str, float]:
        """Of the pending terms; a value that is no number stops the training, by step and term."""
        names = list(self.pending[0])
        table = torch.stack([torch.stack([terms[name].float() for name in names]) for terms in self.pending]).cpu().double()
        first = self.step - len(self.pending)
        self.pending.clear()
        broken = (~torch.isfinite(table)).nonzero()
        if len(broken):
            step, term = broken[0].tolist()
            where = f"{self.task.name}: step {first + step}: {names[term]}"
            raise UserError(f"{where} is not finite: a smaller learning_rate or a `clip` may cure it")
        return dict(zip(names, table.mean(0).tolist(), strict=True))

    def _validate(self) -> dict[str, float]:
        """In float32, as the module will be used."""
        self.module.eval()
        with self._averaged(), torch.no_grad():
            metrics = self.task.validate()
            if not math.isfinite(metrics[LOSS]):
                raise UserError(f"{self.task.name}: step {self.step}: the loss of validation is not finite")
            self.best.see(self.step, self.module, metrics)
        return metrics

    def _look(self) -> np.ndarray | None:
        if self.task.look is None or not self.ranks.first:
            return None
        self.module.eval()
        with self._averaged(), torch.no_grad():
            seen = self.task.look()
        self.progress.see(self._looks(self.step), *seen)
        return grid(seen)

    def _looks(self, step: int) -> int:
        """How often the validation samples have been looked at once `step` steps are done."""
        return math.ceil(step / self.config.validate_every)

    def _averaged(self) -> Any:
        return nullcontext() if self.ema is None else self.ema.applied(self.module)

    def finish(self) -> Trained:
        """The module ends with the best weights, ready to be looked at."""
        last = copied(self.module.state_dict() if self.ema is None else self.ema.values)
        self.module.load_state_dict(self.best.weights)
        self.module.eval()
        return Trained(
            best={name: value.cpu() for name, value in self.best.weights.items()},
            last={name: value.cpu() for name, value in last.items()},
            best_step=self.best.step,
            metrics=self.best.metrics,
            history=self.history,
            timing=self.timing,
            progress=self.progress.sheet(),
        )

    def save(self, checkpoint: Checkpoint) -> None:
        tensors = dict(prefixed("model", self.module.state_dict())) | dict(prefixed("best", self.best.weights))
        tensors |= dict(prefixed("optimiser", optimiser.state(self.mover)))
        if self.ema is not None:
            tensors |= dict(prefixed("ema", self.ema.values))
        if self.opponent is not None:
            tensors |= dict(prefixed("rival", self.opponent.state()))
        tensors |= dict(prefixed("progress", self.progress.state()))
        checkpoint.log[:] = self.history
        numbers = {"step": self.step, "seconds": self.seconds, "timing": self.timing}
        checkpoint.write(tensors, {**numbers, "best_step": self.best.step, "best_metrics": self.best.metrics})

    def restore(self, checkpoint: Checkpoint) -> None:
        found = checkpoint.read()
        if found is None:
            return
        tensors, numbers = found
        self.step, self.seconds, self.timing = numbers["step"], numbers["seconds"], numbers["timing"]
        self.history = list(checkpoint.log)
        self.module.load_state_dict(below("model", tensors))
        optimiser.restore(self.mover, below("optimiser", tensors))
        if self.ema is not None:
            self.ema.restore(below("ema", tensors))
        if self.opponent is not None:
            self.opponent.restore(below("rival", tensors))
        self.progress.restore(below("progress", tensors))
        weights = {name: value.to(self.task.device) for name, value in below("best", tensors).items()}
        self.best = Best(weights, numbers["best_step"], numbers["best_metrics"])


def row_at(place: int, count: int, seed: int) -> int:
    """The sample at a place of the whole training: every epoch goes through all of them, each in an order of its own."""
    epoch, at = divmod(place, count)
    return int(order(seed, epoch, count)[at])


@lru_cache(maxsize=2)  # a batch may lie in two epochs
def order(seed: int, epoch: int, count: int) -> Tensor:
    return torch.randperm(count, generator=generator(seed, "order", epoch))


def prefixed(name: str, tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    return ((f"{name}.{key}", value) for key, value in tensors.items())


def below(name: str, tensors: Mapping[str, Tensor]) -> State:
    return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
