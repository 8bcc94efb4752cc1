"""The training loop: seeded batches, one optimizer, averages, validation, best and last weights, resuming. A sample's generator
depends only on the seed and its position in the training, so resumed and data-parallel trainings draw the same numbers."""

import math
import time
from collections.abc import Callable, Mapping
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
from relume.core.runtime import autocast, generator
from relume.core.sheet import grid
from relume.training import optimiser
from relume.training.adversarial import DISCRIMINATOR
from relume.training.config import Training
from relume.training.models import Trained
from relume.training.optimiser import Ema, State, below, copied, learning_rate, prefixed
from relume.training.progress import Progress
from relume.training.ranks import synced
from relume.training.trainer import LOSS, Trainer

OnLog = Callable[[int, Mapping[str, float], np.ndarray | None], None]  # step, values, a preview


def ignore(step: int, values: Mapping[str, float], preview: np.ndarray | None) -> None:
    """No log."""


def train(trainer: Trainer[Any], *, checkpoint: Checkpoint | None = None, on_log: OnLog = ignore) -> Trained:
    """Minimise the loss. A killed training resumes from its checkpoint with the same result, bit for bit."""
    state, config = TrainState(trainer, on_log), trainer.config.training
    if checkpoint is not None:
        state.restore(checkpoint)
    name, hidden = trainer.name, not trainer.ranks.first
    with tqdm(total=config.steps, initial=state.step, desc=name, unit="step", dynamic_ncols=True, disable=hidden) as bar:
        while state.step < config.steps:
            state.advance()
            bar.update(state.step - bar.n)
            if state.due():
                bar.set_postfix(state.log_metrics(), refresh=False)
                if checkpoint is not None and trainer.ranks.first and checkpoint.due():
                    state.save(checkpoint)
    return trainer.finish(state.finish())


@dataclass
class Best:
    """The weights with the lowest validation loss."""

    weights: State
    step: int = -1
    metrics: dict[str, float] = field(default_factory=dict)

    def update(self, step: int, module: nn.Module, metrics: dict[str, float]) -> None:
        if self.step < 0 or metrics[LOSS] < self.metrics[LOSS]:
            self.weights, self.step, self.metrics = copied(module.state_dict()), step, metrics


class TrainState:
    """The state of a training, as a checkpoint holds it."""

    def __init__(self, trainer: Trainer[Any], on_log: OnLog = ignore) -> None:
        self.trainer, self.on_log = trainer, on_log
        self.config: Training = trainer.config.training
        self.module, self.discriminator, self.ranks = trainer.module, trainer.discriminator, trainer.ranks
        self.optimizer = optimiser.build(self.module, self.config)
        self.ema = Ema(self.module, self.config.ema) if self.config.ema else None
        self.best = Best(copied(self.module.state_dict()))
        self.progress = Progress(self._previews(self.config.steps))
        self.step = 0
        self.seconds = 0.0  # of all steps, device included; without validation, previews and checkpoints
        self.pending: list[dict[str, Tensor]] = []  # terms of the steps since the last row of the history, on the device
        self.history: list[dict[str, Any]] = []
        self.timing: list[dict[str, float]] = []

    def advance(self) -> None:
        """One step, without synchronising the device."""
        started = time.perf_counter()
        self.pending.append(self._update(self._terms()))
        self.step += 1
        self.seconds += time.perf_counter() - started

    def _terms(self) -> dict[str, Tensor]:
        """Loss terms of this process's share of the batch."""
        batch = self.config.batch
        positions = self.ranks.share(range(self.step * batch, (self.step + 1) * batch))
        rows = [row_at(position, len(self.trainer.train), self.trainer.run.seed) for position in positions]
        draws = [generator(self.trainer.run.seed, "augment", position) for position in positions]
        self.module.train()
        with autocast(self.trainer.run, self.trainer.device):
            return self.trainer.loss(rows, draws)

    def _update(self, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Update module and discriminator by the gradients of their terms. Returns the terms to log, over all processes."""
        config = self.config
        self.optimizer.zero_grad(set_to_none=True)
        terms[LOSS].backward()
        self.ranks.average(synced(self.module))
        logged = {name: value.detach().clone() for name, value in terms.items()}
        self.ranks.average(list(logged.values()))
        if config.clip is not None:
            logged["gradient"] = nn.utils.clip_grad_norm_(self.module.parameters(), config.clip).detach()
        rate = learning_rate(config, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        if self.discriminator is not None:
            self.discriminator.step(terms[DISCRIMINATOR], rate / config.learning_rate, self.ranks)
        if self.ema is not None:
            self.ema.update(self.module, self.step)
        return logged

    def due(self) -> bool:
        """Whether to log. Checkpoints are written only then, so that the history does not depend on them."""
        return self.step % self.config.log_every == 0 or self.step == self.config.steps

    def log_metrics(self) -> dict[str, float]:
        """Add a row per term to the history; validate and preview if due."""
        started = time.perf_counter()
        values = {f"train/{name}": value for name, value in self._means().items()}
        self.seconds += time.perf_counter() - started
        values["learning_rate"] = learning_rate(self.config, self.step - 1)
        preview = None
        if self.step % self.config.validate_every == 0 or self.step == self.config.steps:
            values |= {f"val/{name}": value for name, value in self._validate().items()}
            preview = self._preview()
        self.history += [{"step": self.step, "term": name, "value": value} for name, value in sorted(values.items())]
        self.timing.append({"step": self.step, "seconds": self.seconds})
        self.on_log(self.step, values, preview)
        return {"loss": values[f"train/{LOSS}"], "val": self.best.metrics.get(LOSS, float("nan"))}

    def _means(self) -> dict[str, float]:
        """Means of the pending terms; raises UserError for NaN or Inf."""
        names = list(self.pending[0])
        table = torch.stack([torch.stack([terms[name].float() for name in names]) for terms in self.pending]).cpu().double()
        first = self.step - len(self.pending)
        self.pending.clear()
        broken = (~torch.isfinite(table)).nonzero()
        if len(broken):
            step, term = broken[0].tolist()
            where = f"{self.trainer.name}: step {first + step}: {names[term]}"
            raise UserError(f"{where} is NaN or Inf: try a smaller learning_rate or a `clip`")
        return dict(zip(names, table.mean(0).tolist(), strict=True))

    def _validate(self) -> dict[str, float]:
        """In float32, as in inference."""
        self.module.eval()
        with self._averaged(), torch.no_grad():
            metrics = self.trainer.validate()
            if not math.isfinite(metrics[LOSS]):
                raise UserError(f"{self.trainer.name}: step {self.step}: the validation loss is NaN or Inf")
            self.best.update(self.step, self.module, metrics)
        return metrics

    def _preview(self) -> np.ndarray | None:
        if not self.ranks.first:
            return None
        self.module.eval()
        with self._averaged(), torch.no_grad():
            seen = self.trainer.preview()
        if seen is None:
            return None
        self.progress.add(self._previews(self.step), *seen)
        return grid(seen)

    def _previews(self, step: int) -> int:
        """Number of previews in the first `step` steps."""
        return math.ceil(step / self.config.validate_every)

    def _averaged(self) -> Any:
        return nullcontext() if self.ema is None else self.ema.applied(self.module)

    def finish(self) -> Trained:
        """The module ends with the best weights, in eval mode."""
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
        tensors = prefixed("model", self.module.state_dict()) | prefixed("best", self.best.weights)
        tensors |= prefixed("optimiser", optimiser.state(self.optimizer))
        if self.ema is not None:
            tensors |= prefixed("ema", self.ema.values)
        if self.discriminator is not None:
            tensors |= prefixed("discriminator", self.discriminator.state())
        tensors |= prefixed("progress", self.progress.state())
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
        optimiser.restore(self.optimizer, below("optimiser", tensors))
        if self.ema is not None:
            self.ema.restore(below("ema", tensors))
        if self.discriminator is not None:
            self.discriminator.restore(below("discriminator", tensors))
        self.progress.restore(below("progress", tensors))
        weights = {name: value.to(self.trainer.device) for name, value in below("best", tensors).items()}
        self.best = Best(weights, numbers["best_step"], numbers["best_metrics"])


def row_at(position: int, count: int, seed: int) -> int:
    """The sample at a position of the training. Every epoch visits all samples in its own order."""
    epoch, index = divmod(position, count)
    return int(order(seed, epoch, count)[index])


@lru_cache(maxsize=2)  # a batch may span two epochs
def order(seed: int, epoch: int, count: int) -> Tensor:
    return torch.randperm(count, generator=generator(seed, "order", epoch))
