"""Optimizers over parameters (N, …) whose rows are independent problems, and their learning rates. The state of an optimizer can
be saved and restored exactly."""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from relume.methods.optimise.config import Optimiser

HISTORY = 10  # curvature pairs of L-BFGS
FLAT = 1e-6  # pairs with s.y at or below this share of |s||y| are skipped,
TINY = 1e-20  # and pairs with s.y at or below this, where float32 underflows


class Optimizer(Protocol):
    """Updates the parameters that it was built for, in place."""

    def step(self, gradient: Tensor, rate: float) -> None: ...

    def state(self) -> dict[str, Tensor]:
        """A copy of the state; empty before the first step."""
        ...

    def restore(self, state: Mapping[str, Tensor]) -> None: ...


def build(config: Optimiser, code: Tensor) -> Optimizer:
    return RULES[config.rule](config, code)


def normalised(gradient: Tensor) -> Tensor:
    """(N, …) -> (N, …) of length 1 per row; a zero row stays zero."""
    lengths = gradient.flatten(1).norm(dim=1).clamp_min(1e-12)
    return gradient / lengths.view(-1, *[1] * (gradient.ndim - 1))


class Elementwise:
    """A torch optimizer."""

    def __init__(self, make: Callable[[list[Tensor]], torch.optim.Optimizer], code: Tensor) -> None:
        self.code, self.optimiser = code, make([code])

    def step(self, gradient: Tensor, rate: float) -> None:
        self.optimiser.param_groups[0]["lr"] = rate
        self.code.grad = gradient
        self.optimiser.step()
        self.code.grad = None

    def state(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self.optimiser.state[self.code].items() if isinstance(value, Tensor)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        devices = {"step": "cpu"}  # torch keeps its step counter on the CPU, moments with the parameters
        copies = {name: value.to(devices.get(name, self.code.device), copy=True) for name, value in state.items()}
        self.optimiser.state[self.code] = copies


class Pair(NamedTuple):
    """A curvature pair."""

    s: Tensor  # (N, D): change of the parameters
    y: Tensor  # (N, D): change of the gradient
    rho: Tensor  # (N,): 1 / s.y; 0 for a row whose pair is skipped


class Lbfgs:
    """Limited-memory BFGS (Nocedal 1980), two-loop recursion per row, no line search: code -= rate * H gradient. A row without
    curvature pairs or descent direction uses its gradient. A step has at most the norm rate * sqrt(D)."""

    def __init__(self, code: Tensor) -> None:
        self.code = code
        self.last: tuple[Tensor, Tensor] | None = None  # parameters and gradient of the last step: (N, D)
        self.scale = code.new_zeros(len(code))  # (N,): the latest estimate of 1 / curvature
        self.pairs: deque[Pair] = deque(maxlen=HISTORY)

    @torch.no_grad()
    def step(self, gradient: Tensor, rate: float) -> None:
        x, g = self.code.flatten(1).clone(), gradient.flatten(1).clone()  # (N, D)
        if self.last is not None:
            self._add_pair(x - self.last[0], g - self.last[1])
        self.last = x, g
        self.code.sub_((rate * self._direction(g)).view_as(self.code))

    def state(self) -> dict[str, Tensor]:
        if self.last is None:
            return {}
        pairs = {f"{field}{i}": value for i, pair in enumerate(self.pairs) for field, value in pair._asdict().items()}
        found = {"code": self.last[0], "gradient": self.last[1], "scale": self.scale, **pairs}
        return {name: value.clone() for name, value in found.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        if own := {name: value.to(self.code.device, copy=True) for name, value in state.items()}:
            self.last, self.scale = (own["code"], own["gradient"]), own["scale"]
            self.pairs.extend(Pair(own[f"s{i}"], own[f"y{i}"], own[f"rho{i}"]) for i in range(len(own) // 3 - 1))

    def _add_pair(self, s: Tensor, y: Tensor) -> None:
        """Adds a pair for the rows with positive curvature: scale = s.y / y.y."""
        product = _dot(s, y)
        valid = product > (FLAT * s.norm(dim=1) * y.norm(dim=1)).clamp_min(TINY)
        self.pairs.append(Pair(s, y, torch.where(valid, 1 / product, 0.0)))
        self.scale = torch.where(valid, product / _dot(y, y), self.scale)

    def _direction(self, g: Tensor) -> Tensor:
        """H g by the two-loop recursion, with norm at most sqrt(D): (N, D)."""
        gradient = normalised(g)
        q, alphas = g, []
        for s, y, rho in reversed(self.pairs):
            alphas.append(rho * _dot(s, q))
            q = q - alphas[-1][:, None] * y
        q = q * self.scale[:, None]
        for (s, y, rho), alpha in zip(self.pairs, reversed(alphas), strict=True):
            q = q + (alpha - rho * _dot(y, q))[:, None] * s
        descends = (self.scale > 0) & (_dot(q, g) > 0)
        direction = torch.where(descends[:, None], q, gradient)
        longest = g.shape[1] ** 0.5
        return direction * (longest / direction.norm(dim=1, keepdim=True).clamp_min(longest))


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """(N, D), (N, D) -> (N,)."""
    return (a * b).sum(1)


RULES: dict[str, Callable[[Optimiser, Tensor], Optimizer]] = {
    "sgd": lambda config, code: Elementwise(torch.optim.SGD, code),
    "adam": lambda config, code: Elementwise(partial(torch.optim.Adam, betas=config.betas), code),
    "lbfgs": lambda config, code: Lbfgs(code),
}


V = TypeVar("V", int, float)


def at(pairs: Sequence[tuple[int, V]], step: int) -> V:
    """The value at `step`."""
    return next(value for start, value in reversed(pairs) if start <= step)


def learning_rate(config: Optimiser, step: int, steps: int) -> float:
    rate = at(config.learning_rate, step)
    if config.cosine:
        rate *= 0.5 * (1 + math.cos(math.pi * step / steps))
    if config.cooldown:
        rate *= 0.5 - 0.5 * math.cos(math.pi * min(1.0, (steps - step) / config.cooldown))
    if config.warmup:
        rate *= min(1.0, (step + 1) / config.warmup)
    return rate
