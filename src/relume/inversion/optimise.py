"""The loop: features, image parametrisation, views, objective and optimiser meet here and nowhere else."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.core.images import resize
from relume.core.run import Run
from relume.core.runtime import autocast
from relume.features.networks import Network
from relume.features.taps import collect
from relume.inversion import parametrise, schedules
from relume.inversion.config import InvertOptimise, Optimiser
from relume.inversion.views import jitter
from relume.losses.objective import Activations, Objective, State

Look = Callable[[Tensor], dict[str, dict[str, Tensor]]]  # pictures -> network -> tap -> features


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A batch of N pictures to find, all of one size. Row n of everything belongs together."""

    size: int
    objective: Objective
    networks: Mapping[str, Network]
    targets: Activations
    start: Tensor  # (N, 3, h, h): where they begin
    originals: Tensor | None  # for oracles
    generators: list[torch.Generator]  # one per row, for the views
    run: Run  # its precision: of what the networks see; distances and regularisers stay in float32


@dataclass(frozen=True, kw_only=True)
class Outcome:
    images: Tensor  # (N, 3, size, size) in [0, 1]: the best iterate by the objective
    objective: Tensor  # (N,): of those, without a view


@dataclass(frozen=True, kw_only=True)
class Report:
    """What the loop tells of a step: the terms unweighted, (N,) each, still on the device."""

    step: int
    terms: dict[str, Tensor]
    seconds: float


def optimise(problem: Problem, config: InvertOptimise, report: Callable[[Report], None]) -> Outcome:
    """Minimise the objective over the pictures. Rows do not touch each other, so a batch is only a matter of speed."""
    image = parametrise.build(config.parametrisation)
    sizes = config.sizes or ((0, problem.size),)
    started = time.perf_counter()
    best = Best(problem)
    size, code, mover = 0, torch.empty(0), None
    with looking(problem) as look:
        for step in range(config.steps):
            if schedules.at(sizes, step) != size:
                pictures = image.decode(code.detach(), size) if size else problem.start
                size = schedules.at(sizes, step)
                code = image.encode(parametrise.grow(pictures, size)).requires_grad_()
                mover = _mover(config.optimiser, code)
            assert mover is not None  # sizes begin at step 0
            rate = schedules.learning_rate(config.optimiser, step, config.steps)
            pictures, values = _descend(problem, config, look, image, code, size, mover, rate)
            if size == problem.size:
                best.see(pictures, values["objective"])
            if step % config.trace_every == 0:
                report(_checked(Report(step=step, terms=_logged(values, rate, size), seconds=time.perf_counter() - started)))
        with torch.no_grad():
            best.see(
                resize(image.decode(code, size), problem.size),
                _measure(problem, look, image.decode(code, size))["objective"],
            )
            values = _measure(problem, look, best.images)
        seconds = time.perf_counter() - started
        report(_checked(Report(step=config.steps, terms=_logged(values, rate, problem.size), seconds=seconds)))
    return Outcome(images=best.images, objective=values["objective"])


class Best:
    """The best iterate of each row so far, by the objective; nothing here waits for the device."""

    def __init__(self, problem: Problem) -> None:
        count, device = len(problem.start), problem.start.device
        self.images = torch.zeros(count, 3, problem.size, problem.size, device=device)
        self.objective = torch.full((count,), torch.inf, device=device)

    def see(self, images: Tensor, objective: Tensor) -> None:
        better = objective < self.objective
        self.images = torch.where(better[:, None, None, None], images.detach().float(), self.images)
        self.objective = torch.where(better, objective.detach(), self.objective)


@contextmanager
def looking(problem: Problem) -> Iterator[Look]:
    """One forward pass per network serves every term."""
    with ExitStack() as stack:
        eyes = {
            name: stack.enter_context(collect(problem.networks[name], taps)) for name, taps in problem.objective.needs.items()
        }

        def look(pictures: Tensor) -> dict[str, dict[str, Tensor]]:
            with autocast(problem.run, pictures.device):
                seen = {name: eye(pictures) for name, eye in eyes.items()}
            return {name: {tap: value.float() for tap, value in taps.items()} for name, taps in seen.items()}

        yield look


def _descend(
    problem: Problem,
    config: InvertOptimise,
    look: Look,
    image: parametrise.Parametrisation,
    code: Tensor,
    size: int,
    mover: torch.optim.Optimizer,
    rate: float,
) -> tuple[Tensor, dict[str, Tensor]]:
    """One step: the pictures and values from before it."""
    pictures = image.decode(code, size)
    values = _measure(problem, lambda seen: look(jitter(seen, config.views, problem.generators)), pictures)
    (code.grad,) = torch.autograd.grad(values["objective"].sum(), [code])
    if config.optimiser.normalise_gradient:
        lengths = code.grad.flatten(1).norm(dim=1).clamp_min(1e-12)
        code.grad /= lengths.view(-1, *[1] * (code.ndim - 1))
    mover.param_groups[0]["lr"] = rate
    mover.step()
    with torch.no_grad():
        image.project(code)
    return resize(pictures.detach(), problem.size), values


def _measure(problem: Problem, look: Look, pictures: Tensor) -> dict[str, Tensor]:
    """Every term and the `objective`, (N,) each."""
    full = resize(pictures, problem.size)
    state = State(images=full, features=look(full), targets=problem.targets, originals=problem.originals)
    total, terms = problem.objective(state)
    return {"objective": total, **terms}


def _mover(config: Optimiser, code: Tensor) -> torch.optim.Optimizer:
    if config.rule == "adam":
        return torch.optim.Adam([code])
    return torch.optim.SGD([code])


def _logged(values: dict[str, Tensor], rate: float, size: int) -> dict[str, Tensor]:
    fixed = {"learning_rate": torch.tensor([rate]), "size": torch.tensor([float(size)])}
    return {**{name: value.detach() for name, value in values.items()}, **fixed}


def _checked(report: Report) -> Report:
    """Stop at numbers that are none, by name."""
    for name, value in report.terms.items():
        if not torch.isfinite(value).all():
            raise UserError(f"step {report.step}: {name} is {value.tolist()}: a smaller optimiser.learning_rate may cure it")
    return report
