"""The loop: features, image parametrisation, views, objective and optimiser meet here and nowhere else."""

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
from relume.methods.optimise import optimizers, parametrise, schedules
from relume.methods.optimise.config import InvertOptimise
from relume.methods.optimise.path import moments
from relume.methods.optimise.views import view
from relume.networks.network import Network
from relume.networks.relu import identity_relu
from relume.networks.taps import collect

Look = Callable[[Tensor], dict[str, dict[str, Tensor]]]  # pictures -> network -> tap -> features


@dataclass(frozen=True, kw_only=True)
class Problem(Known):
    """A batch of N pictures to find, all of one size. Row n of everything belongs together."""

    size: int
    objective: Objective
    networks: Mapping[str, Network]
    start: Tensor  # (N, C, h, h): where they begin
    generators: list[torch.Generator]  # one per row, for the views and for spaces that begin at random
    space: parametrise.Spaces = parametrise.build  # how spaces are built, where one needs more than its parameters
    run: Run  # its precision: of what the networks see; distances and regularisers stay in float32


@dataclass(frozen=True, kw_only=True)
class Outcome:
    images: Tensor  # (N, 3, size, size) in [0, 1]: the best iterate by the objective
    objective: Tensor  # (N,): of those, without a view
    path: Tensor  # uint8 (N, moments, size, size, 3): after each of them, the best so far
    faults: tuple[str, ...]  # which rows stopped early at numbers that are none: term and step
    interrupted: bool = False  # by the user, who keeps what there was


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the loop tells of a step: the terms unweighted, (N,) each, and the pictures, still on the device."""

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
    """Minimise the objective over the images; rows are independent. With the same checkpoint a killed run resumes to the same
    bits. `keep`: Ctrl-C ends the run with the best images so far."""
    descent = Descent(problem, config)
    if checkpoint is not None:
        descent.restore(checkpoint)
    interrupted = False
    with looking(problem, config) as look:
        try:
            while descent.step < config.steps and not descent.rests():
                descent.advance(look, report)
                if checkpoint is not None and checkpoint.due():
                    descent.save(checkpoint)
        except KeyboardInterrupt:
            if not keep or descent.at[0] < 0:  # nothing has been made yet
                raise
            interrupted = True
        return replace(descent.finish(look, report), interrupted=interrupted)


class Descent:
    """Where a run stands: the step, the space and its code, the mover's memory, the best so far."""

    def __init__(self, problem: Problem, config: InvertOptimise) -> None:
        self.problem, self.config = problem, config
        self.moments = moments(config.steps)
        self.sizes = config.sizes or ((0, problem.size),)
        self.spaces = ((0, config.parametrisation), *config.switches)
        self.step, self.seconds = 0, 0.0
        self.best = Best(problem, config)
        self.path = torch.empty(len(problem.start), 0, problem.size, problem.size, problem.start.shape[1], dtype=torch.uint8)
        self.code = torch.empty(0)
        self.optimizer = optimizers.build(config.optimiser)
        self.space = problem.space(config.parametrisation)
        self.at: tuple[int, int] = (-1, 0)  # number of the space, size

    def advance(self, look: Look, report: Callable[[Report], None]) -> None:
        """One step. Its values are of the pictures from before it."""
        started = time.perf_counter()
        config, step = self.config, self.step
        self._enter()
        code = self.space.perturbed(self.code, step / config.steps, self.problem.generators)
        pictures, costs = self.space.decode(code, self.at[1]), self.space.costs(code)
        values, gradient = self._gradient(look, pictures)
        weights = [torch.full_like(value, weight) for weight, value in costs.values()]
        asked = [value for _, value in costs.values()]
        (gradient,) = torch.autograd.grad([pictures, *asked], [self.code], [gradient, *weights])
        reports = step % config.trace_every == 0
        # a copy, for where the code is the picture, the step changes it; inside the box, since only such pictures are kept
        full = resize(pictures.detach().clone(), self.problem.size).clamp(0, 1)
        self.best.watch(step, values)
        whole = self.at[1] == self.problem.size
        measured = not config.views.transforms and self.space.bounded
        if measured:
            self.best.see(step, full, values["objective"], whole=whole)
        elif reports:  # what was measured is a random view, or a picture out of the box
            with torch.no_grad():
                values = _measure(self.problem, look, full)
            self.best.watch(step, values)
            self.best.see(step, full, values["objective"], whole=whole)
        rate = schedules.learning_rate(config.optimiser, step, config.steps)
        self._move(optimizers.normalised(gradient) if config.optimiser.normalise_gradient else gradient, rate)
        self._count(started, wait=reports)
        if step in self.moments:
            self._keep(self.best.images if whole and (measured or reports) else full.nan_to_num())
        if reports:
            self._tell(report, {**values, **{name: value.detach() for name, (_, value) in costs.items()}}, full, rate)
        self.step += 1

    def _keep(self, pictures: Tensor) -> None:
        """The picture that a run which ended here would give; where it was not measured (a view, a smaller size), as it is."""
        self.path = torch.cat([self.path, torch.from_numpy(to_uint8(pictures))[:, None]], dim=1)

    @torch.no_grad()
    def _move(self, gradient: Tensor, rate: float) -> None:
        """Rows at rest stay where they are, so that one without a number never reaches the others through `avg`."""
        before = self.code.detach().clone()
        self.optimizer.step(self.code, gradient, rate)
        self.space.project(self.code)
        self.code.copy_(torch.where(self.best.resting.view(-1, *[1] * (self.code.ndim - 1)), before, self.code))

    def _count(self, started: float, *, wait: bool) -> None:
        """Seconds so far. An accelerator is waited for where the loop waits anyway, so that the sum is true there."""
        if wait and self.code.device.type == "cuda":
            torch.cuda.synchronize(self.code.device)
        self.seconds += time.perf_counter() - started

    def _enter(self) -> None:
        """The space and the size of this step; a change of either carries the picture over. It and what begins to move within a
        space make the mover forget."""
        number = max(place for place, (start, _) in enumerate(self.spaces) if start <= self.step)
        size = schedules.at(self.sizes, self.step)
        if (number, size) == self.at:
            before, now = (self.space.phase(step / self.config.steps) for step in (self.step - 1, self.step))
            if before != now:  # other numbers of the code move from this step on
                self._anew()
            return
        first, old = self.at[0] < 0, self.space
        if first or number != self.at[0] or not old.keeps_code:
            pictures = self.problem.start if first else old.decode(self.code.detach(), self.at[1])
            self.space = self.problem.space(self.spaces[number][1])
            grown = parametrise.grow(pictures, size, bounded=self.space.bounded)
            self.code = self.space.encode(grown, self.problem.generators).detach().requires_grad_()
        self.at = (number, size)
        self._anew()

    def _anew(self) -> None:
        self.optimizer = optimizers.build(self.config.optimiser)
        self.best.wake(self.step)

    def _gradient(self, look: Look, pictures: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Values and the gradient with respect to the pictures, averaged over views; one view in memory at a time."""
        views = self.config.views
        sums: dict[str, Tensor] = {}
        gradient = torch.zeros_like(pictures)

        def seen(images: Tensor) -> dict[str, dict[str, Tensor]]:
            return look(view(images, views.transforms, self.problem.generators))

        for _ in range(views.ensemble):
            leaf = pictures.detach().requires_grad_()
            values = _measure(self.problem, seen, leaf)
            gradient += torch.autograd.grad(values["objective"].sum(), [leaf])[0] / views.ensemble
            sums = {name: sums.get(name, 0) + value.detach() / views.ensemble for name, value in values.items()}
        return sums, gradient

    def rests(self) -> bool:
        """Every row has come to rest. Asked of the device only every `trace_every` steps."""
        return self.step > 0 and self.step % self.config.trace_every == 0 and bool(self.best.resting.all())

    def finish(self, look: Look, report: Callable[[Report], None]) -> Outcome:
        """The best of each row, the last iterate included, measured once more without a view."""
        started = time.perf_counter()
        with torch.no_grad():
            if self.at[0] >= 0:
                last = resize(self.space.decode(self.code, self.at[1]), self.problem.size).clamp(0, 1)
                values = _measure(self.problem, look, last)
                self.best.watch(self.step, values)
                self.best.see(self.step, last, values["objective"], whole=True)
            faults = self.best.faults()
            values = _measure(self.problem, look, self.best.images)
        self._count(started, wait=True)
        rate = schedules.learning_rate(self.config.optimiser, max(self.step - 1, 0), self.config.steps)
        self._tell(report, values, self.best.images, rate)
        while self.path.shape[1] < len(self.moments):  # of those at rest nothing changes any more
            self._keep(self.best.images)
        return Outcome(images=self.best.images, objective=values["objective"], path=self.path, faults=faults)

    def _tell(self, report: Callable[[Report], None], values: dict[str, Tensor], images: Tensor, rate: float) -> None:
        fixed = {"learning_rate": torch.tensor([rate]), "size": torch.tensor([float(self.at[1])])}
        report(Report(step=self.step, terms={**values, **fixed}, images=images, seconds=self.seconds))

    def save(self, checkpoint: Checkpoint) -> None:
        views = torch.stack([generator.get_state() for generator in self.problem.generators])
        optimizer = {f"mover.{name}": value for name, value in self.optimizer.state().items()}
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
            generator.set_state(state.clone())  # it reads from the beginning of the storage, wherever the row lies
        self.path = tensors.pop("path")
        self.space = self.problem.space(self.spaces[max(self.at[0], 0)][1])
        # a copy: where a file's bytes come to lie in memory shows in the last bits of what is computed with them
        self.code = tensors.pop("code").to(device, copy=True).requires_grad_()
        self.optimizer.restore(
            {name.removeprefix("mover."): value.to(device) for name, value in tensors.items() if name.startswith("mover.")}
        )
        self.best.restore({name: value.to(device) for name, value in tensors.items()})


class Best:
    """The best iterate of each row so far, by the objective; which rows rest. Nothing here waits for the device but `faults`."""

    def __init__(self, problem: Problem, config: InvertOptimise) -> None:
        count, device = len(problem.start), problem.start.device
        self.stop = config.stop
        self.names = [*(term.name for term in problem.objective.terms), "objective"]
        self.images = torch.zeros(count, problem.start.shape[1], problem.size, problem.size, device=device)
        self.objective = torch.full((count,), torch.inf, device=device)
        self.resting = torch.zeros(count, dtype=torch.bool, device=device)
        self.anchor = self.objective.clone()  # what the objective has to fall below to count as progress
        self.since = torch.zeros(count, dtype=torch.int64, device=device)  # the step at which it last did
        self.broken = torch.full((len(self.names), count), -1, dtype=torch.int64, device=device)  # first step without a number

    def watch(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Rows that meet a number that is none rest from then on."""
        table = torch.stack([values[name].detach() for name in self.names])
        self.broken = torch.where(~torch.isfinite(table) & (self.broken < 0), step, self.broken)
        self.resting = self.resting | (self.broken[-1] >= 0)

    def see(self, step: int, images: Tensor, objective: Tensor, *, whole: bool) -> None:
        """Pictures in [0, 1] with their own objective. `whole`: at full size, so that the picture may be kept."""
        if not whole:
            return
        objective = objective.detach()
        better = (objective < self.objective) & ~self.resting
        self.images = torch.where(better[:, None, None, None], images.float(), self.images)
        self.objective = torch.where(better, objective, self.objective)
        if self.stop.patience is not None:
            moved = objective < self.anchor - self.stop.tolerance * self.anchor.abs().nan_to_num(posinf=0.0)
            self.since = torch.where(moved, step, self.since)
            self.anchor = torch.where(moved, objective, self.anchor)
            self.resting = self.resting | (step - self.since >= self.stop.patience)

    def wake(self, step: int) -> None:
        """Another space or size: what had come to rest may go on from here, but for what is broken."""
        self.resting = self.broken[-1] >= 0
        self.anchor = torch.full_like(self.anchor, torch.inf)
        self.since = torch.full_like(self.since, step)

    def faults(self) -> tuple[str, ...]:
        """Rows that met a number that is none, by term and step; an error where such a row has no picture to show."""
        broken, kept = self.broken.cpu(), torch.isfinite(self.objective).cpu()
        told = []
        for row in (broken[-1] >= 0).nonzero().flatten().tolist():
            first = broken[-1, row]  # from the next step on the picture itself is broken, and with it every term
            name = next(name for name, step in zip(self.names, broken[:, row], strict=True) if step == first)
            told.append(f"row {row}: step {int(first)}: {name} is not finite")
            if not kept[row]:
                raise UserError(f"{told[-1]}, before any picture was kept: a smaller optimiser.learning_rate may cure it")
        return tuple(told)

    def state(self) -> dict[str, Tensor]:
        return {f"best.{name}": getattr(self, name) for name in BEST}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        for name in BEST:
            setattr(self, name, tensors[f"best.{name}"])


BEST = ("images", "objective", "resting", "anchor", "since", "broken")


@contextmanager
def looking(problem: Problem, config: InvertOptimise) -> Iterator[Look]:
    """One forward pass per network serves every term."""
    with ExitStack() as stack:
        for name in problem.objective.needs:
            if config.relu_backward == "identity":
                stack.enter_context(identity_relu(problem.networks[name]))
        extractors = {
            name: stack.enter_context(collect(problem.networks[name], taps)) for name, taps in problem.objective.needs.items()
        }

        def look(pictures: Tensor) -> dict[str, dict[str, Tensor]]:
            with autocast(problem.run, pictures.device):
                seen = {name: metric_network(pictures) for name, metric_network in extractors.items()}
            return {name: {tap: value.float() for tap, value in taps.items()} for name, taps in seen.items()}

        yield look


def _measure(problem: Problem, look: Look, pictures: Tensor) -> dict[str, Tensor]:
    """Every term and the `objective`, (N,) each."""
    full = resize(pictures, problem.size)
    total, terms = problem.objective(full, look(full), problem)
    return {"objective": total, **terms}
