"""The optimisation loop over features, image parametrisation, views, objective and optimizer."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from relume.core.checkpoint import Checkpoint
from relume.core.errors import UserError
from relume.core.images import resize, to_uint8
from relume.core.run import Run
from relume.core.runtime import autocast
from relume.losses.objective import Known, Objective
from relume.methods.optimise import optimizers, parametrise
from relume.methods.optimise.config import InvertOptimise
from relume.methods.optimise.path import moments
from relume.methods.optimise.views import view
from relume.networks.network import Network
from relume.networks.taps import collect
from relume.training.optimiser import below, prefixed

Forward = Callable[[Tensor], dict[str, dict[str, Tensor]]]  # images -> network -> tap -> features


@dataclass(frozen=True, kw_only=True)
class Problem(Known):
    """A batch of N inversions of one size; row n of every tensor belongs to image n."""

    size: int
    objective: Objective
    networks: Mapping[str, Network]
    start: Tensor  # (N, C, h, h): initial images
    generators: list[torch.Generator]  # one per row, for views and random initial parameters
    space: parametrise.Spaces = parametrise.build  # builds spaces from their parameters
    run: Run  # its precision is that of forward passes; distances and regularisers use float32


@dataclass(frozen=True, kw_only=True)
class Outcome:
    images: Tensor  # (N, 3, size, size) in [0, 1]: the best iterate by the objective
    objective: Tensor  # (N,): of these images, without augmentation
    path: Tensor  # uint8 (N, moments, size, size, 3): the best image at each of these steps
    faults: tuple[str, ...]  # rows that stopped at NaN or Inf, with term and step
    interrupted: bool = False  # by the user


@dataclass(frozen=True, kw_only=True)
class Report:
    """Unweighted terms, (N,) each, and images of a step, on the device."""

    step: int
    terms: dict[str, Tensor]
    images: Tensor
    seconds: float


def optimise(
    problem: Problem,
    config: InvertOptimise,
    report: Callable[[Report], None],
    *,
    checkpoint: Checkpoint | None = None,
    keep: bool = False,
) -> Outcome:
    """Minimise the objective over the images; rows are independent. A killed run resumes from its checkpoint with equal bits.
    `keep`: Ctrl-C ends the run with the best images so far."""
    descent = Descent(problem, config)
    if checkpoint is not None:
        descent.restore(checkpoint)
    interrupted = False
    with forward_pass(problem) as forward:
        try:
            while descent.step < config.steps and not descent.stopped():
                descent.advance(forward, report)
                if checkpoint is not None and checkpoint.due():
                    descent.save(checkpoint)
        except KeyboardInterrupt:
            if not keep or descent.at[0] < 0:  # there is no image yet
                raise
            interrupted = True
        return replace(descent.finish(forward, report), interrupted=interrupted)


class Descent:
    """The state of a run: step, space and parameters, optimizer state, best images."""

    def __init__(self, problem: Problem, config: InvertOptimise) -> None:
        self.problem, self.config = problem, config
        self.moments = moments(config.steps)
        self.sizes = config.sizes or ((0, problem.size),)
        self.spaces = ((0, config.parametrisation), *config.switches)
        self.step, self.seconds = 0, 0.0
        self.best = Best(problem, config)
        self.path = torch.empty(len(problem.start), 0, problem.size, problem.size, problem.start.shape[1], dtype=torch.uint8)
        self.code = torch.empty(0)
        self.optimizer = optimizers.build(config.optimiser, self.code)
        self.space = problem.space(config.parametrisation)
        self.at: tuple[int, int] = (-1, 0)  # number of the space, size

    def advance(self, forward: Forward, report: Callable[[Report], None]) -> None:
        """One step. The logged values are those before the update."""
        started = time.perf_counter()
        config, step = self.config, self.step
        self._update_space()
        code = self.space.perturbed(self.code, step / config.steps, self.problem.generators)
        images, costs = self.space.decode(code, self.at[1]), self.space.costs(code)
        values, gradient = self._gradient(forward, images)
        weights = [torch.full_like(value, weight) for weight, value in costs.values()]
        penalties = [value for _, value in costs.values()]
        (gradient,) = torch.autograd.grad([images, *penalties], [self.code], [gradient, *weights])
        reports = step % config.trace_every == 0
        # a copy, because the update changes `code` in place; clamped, because the best images are in [0, 1]
        full = resize(images.detach().clone(), self.problem.size).clamp(0, 1)
        self.best.check(step, values)
        full_size = self.at[1] == self.problem.size
        exact = not config.views.transforms and self.space.bounded
        if exact:
            self.best.update(step, full, values["objective"], whole=full_size)
        elif reports:  # the values are those of a random view, or of an image outside [0, 1]
            with torch.no_grad():
                values = _measure(self.problem, forward, full)
            self.best.check(step, values)
            self.best.update(step, full, values["objective"], whole=full_size)
        rate = optimizers.learning_rate(config.optimiser, step, config.steps)
        self._move(optimizers.normalised(gradient) if config.optimiser.normalise_gradient else gradient, rate)
        self._add_seconds(started, wait=reports)
        if step in self.moments:
            self._record(self.best.images if full_size and (exact or reports) else full.nan_to_num())
        if reports:
            self._report(report, {**values, **{name: value.detach() for name, (_, value) in costs.items()}}, full, rate)
        self.step += 1

    def _record(self, pictures: Tensor) -> None:
        """Add the result of a run that ended here to the path; the current image if its objective was not computed."""
        self.path = torch.cat([self.path, torch.from_numpy(to_uint8(pictures))[:, None]], dim=1)

    @torch.no_grad()
    def _move(self, gradient: Tensor, rate: float) -> None:
        """Stopped rows do not change, so that NaN does not reach other rows through `avg`."""
        before = self.code.detach().clone()
        self.optimizer.step(gradient, rate)
        self.space.project(self.code)
        self.code.copy_(torch.where(self.best.halted.view(-1, *[1] * (self.code.ndim - 1)), before, self.code))

    def _add_seconds(self, started: float, *, wait: bool) -> None:
        """Adds to `seconds`. `wait`: synchronise the device; only where the loop synchronises anyway."""
        if wait and self.code.device.type == "cuda":
            torch.cuda.synchronize(self.code.device)
        self.seconds += time.perf_counter() - started

    def _update_space(self) -> None:
        """Switches to the space and size of this step, re-encoding the image. A new space, size or phase resets the optimizer."""
        number = max(index for index, (start, _) in enumerate(self.spaces) if start <= self.step)
        size = optimizers.at(self.sizes, self.step)
        if (number, size) == self.at:
            before, now = (self.space.phase(step / self.config.steps) for step in (self.step - 1, self.step))
            if before != now:  # a new phase optimises other parameters
                self._reset_optimizer()
            return
        first, old = self.at[0] < 0, self.space
        if first or number != self.at[0] or not old.keeps_code:
            images = self.problem.start if first else old.decode(self.code.detach(), self.at[1])
            self.space = self.problem.space(self.spaces[number][1])
            grown = parametrise.grow(images, size, bounded=self.space.bounded)
            self.code = self.space.encode(grown, self.problem.generators).detach().requires_grad_()
        self.at = (number, size)
        self._reset_optimizer()

    def _reset_optimizer(self) -> None:
        self.optimizer = optimizers.build(self.config.optimiser, self.code)
        self.best.reset(self.step)

    def _gradient(self, forward: Forward, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Values and the gradient with respect to the images, averaged over views; one view in memory at a time."""
        views = self.config.views
        sums: dict[str, Tensor] = {}
        gradient = torch.zeros_like(images)

        def augmented(images: Tensor) -> dict[str, dict[str, Tensor]]:
            return forward(view(images, views.transforms, self.problem.generators))

        for _ in range(views.ensemble):
            leaf = images.detach().requires_grad_()
            values = _measure(self.problem, augmented, leaf)
            gradient += torch.autograd.grad(values["objective"].sum(), [leaf])[0] / views.ensemble
            sums = {name: sums.get(name, 0) + value.detach() / views.ensemble for name, value in values.items()}
        return sums, gradient

    def stopped(self) -> bool:
        """Whether all rows have stopped; synchronises the device, hence only every `trace_every` steps."""
        return self.step > 0 and self.step % self.config.trace_every == 0 and bool(self.best.halted.all())

    def finish(self, forward: Forward, report: Callable[[Report], None]) -> Outcome:
        """The best image of each row, the last iterate included, and its objective without augmentation."""
        started = time.perf_counter()
        with torch.no_grad():
            if self.at[0] >= 0:
                last = resize(self.space.decode(self.code, self.at[1]), self.problem.size).clamp(0, 1)
                values = _measure(self.problem, forward, last)
                self.best.check(self.step, values)
                self.best.update(self.step, last, values["objective"], whole=True)
            faults = self.best.faults()
            values = _measure(self.problem, forward, self.best.images)
        self._add_seconds(started, wait=True)
        rate = optimizers.learning_rate(self.config.optimiser, max(self.step - 1, 0), self.config.steps)
        self._report(report, values, self.best.images, rate)
        while self.path.shape[1] < len(self.moments):  # stopped rows do not change
            self._record(self.best.images)
        return Outcome(images=self.best.images, objective=values["objective"], path=self.path, faults=faults)

    def _report(self, report: Callable[[Report], None], values: dict[str, Tensor], images: Tensor, rate: float) -> None:
        fixed = {"learning_rate": torch.tensor([rate]), "size": torch.tensor([float(self.at[1])])}
        report(Report(step=self.step, terms={**values, **fixed}, images=images, seconds=self.seconds))

    def save(self, checkpoint: Checkpoint) -> None:
        views = torch.stack([generator.get_state() for generator in self.problem.generators])
        optimizer = prefixed("optimizer", self.optimizer.state())
        tensors = {"code": self.code.detach(), "views": views, "path": self.path, **optimizer, **self.best.state()}
        checkpoint.write(tensors, {"step": self.step, "seconds": self.seconds, "at": self.at})

    def restore(self, checkpoint: Checkpoint) -> None:
        found = checkpoint.read()
        if found is None:
            return
        tensors, numbers = found
        device = self.problem.start.device
        self.step, self.seconds, self.at = numbers["step"], numbers["seconds"], (numbers["at"][0], numbers["at"][1])
        for generator, state in zip(self.problem.generators, tensors.pop("views"), strict=True):
            generator.set_state(state.clone())  # set_state ignores the storage offset of a row
        self.path = tensors.pop("path")
        self.space = self.problem.space(self.spaces[max(self.at[0], 0)][1])
        # a copy: memory alignment changes the last bits of results
        self.code = tensors.pop("code").to(device, copy=True).requires_grad_()
        self.optimizer = optimizers.build(self.config.optimiser, self.code)
        self.optimizer.restore({name: value.to(device) for name, value in below("optimizer", tensors).items()})
        self.best.restore({name: value.to(device) for name, value in tensors.items()})


class Best:
    """The best image of each row by the objective, and which rows have stopped. Only `faults` synchronises the device."""

    def __init__(self, problem: Problem, config: InvertOptimise) -> None:
        count, device = len(problem.start), problem.start.device
        self.stop = config.stop
        self.names = [*(term.name for term in problem.objective.terms), "objective"]
        self.images = torch.zeros(count, problem.start.shape[1], problem.size, problem.size, device=device)
        self.objective = torch.full((count,), torch.inf, device=device)
        self.halted = torch.zeros(count, dtype=torch.bool, device=device)
        self.anchor = self.objective.clone()  # the objective must fall below it to count as progress
        self.since = torch.zeros(count, dtype=torch.int64, device=device)  # step of the last progress
        self.broken = torch.full((len(self.names), count), -1, dtype=torch.int64, device=device)  # first step with NaN or Inf

    def check(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Stops rows with NaN or Inf."""
        table = torch.stack([values[name].detach() for name in self.names])
        self.broken = torch.where(~torch.isfinite(table) & (self.broken < 0), step, self.broken)
        self.halted = self.halted | (self.broken[-1] >= 0)

    def update(self, step: int, images: Tensor, objective: Tensor, *, whole: bool) -> None:
        """Images in [0, 1] with their objective. `whole`: at full size; smaller images are ignored."""
        if not whole:
            return
        objective = objective.detach()
        better = (objective < self.objective) & ~self.halted
        self.images = torch.where(better[:, None, None, None], images.float(), self.images)
        self.objective = torch.where(better, objective, self.objective)
        if self.stop.patience is not None:
            progressed = objective < self.anchor - self.stop.tolerance * self.anchor.abs().nan_to_num(posinf=0.0)
            self.since = torch.where(progressed, step, self.since)
            self.anchor = torch.where(progressed, objective, self.anchor)
            self.halted = self.halted | (step - self.since >= self.stop.patience)

    def reset(self, step: int) -> None:
        """For a new space or size: stopped rows continue, except those with NaN or Inf."""
        self.halted = self.broken[-1] >= 0
        self.anchor = torch.full_like(self.anchor, torch.inf)
        self.since = torch.full_like(self.since, step)

    def faults(self) -> tuple[str, ...]:
        """Rows with NaN or Inf, with step and term. Raises UserError if such a row has no valid image."""
        broken, kept = self.broken.cpu(), torch.isfinite(self.objective).cpu()
        messages = []
        for row in (broken[-1] >= 0).nonzero().flatten().tolist():
            first = broken[-1, row]  # in later steps all terms are NaN
            name = next(name for name, step in zip(self.names, broken[:, row], strict=True) if step == first)
            messages.append(f"row {row}: step {int(first)}: {name} is NaN or Inf")
            if not kept[row]:
                raise UserError(f"{messages[-1]} before any valid image: try a smaller optimiser.learning_rate")
        return tuple(messages)

    def state(self) -> dict[str, Tensor]:
        return {f"best.{name}": getattr(self, name) for name in BEST}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        for name in BEST:
            setattr(self, name, tensors[f"best.{name}"])


BEST = ("images", "objective", "halted", "anchor", "since", "broken")


@contextmanager
def forward_pass(problem: Problem) -> Iterator[Forward]:
    """One forward pass per network for all terms."""
    with ExitStack() as stack:
        extractors = {
            name: stack.enter_context(collect(problem.networks[name], taps)) for name, taps in problem.objective.needs.items()
        }

        def forward(images: Tensor) -> dict[str, dict[str, Tensor]]:
            with autocast(problem.run, images.device):
                features = {name: extractor(images) for name, extractor in extractors.items()}
            return {name: {tap: value.float() for tap, value in taps.items()} for name, taps in features.items()}

        yield forward


def _measure(problem: Problem, forward: Forward, images: Tensor) -> dict[str, Tensor]:
    """Every term and the `objective`, (N,) each."""
    full = resize(images, problem.size)
    total, terms = problem.objective(full, forward(full), problem)
    return {"objective": total, **terms}
