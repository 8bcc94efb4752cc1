"""Optimisers over a code (N, …) whose rows are independent problems. Their state can be saved and restored to the bit."""

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from relume.methods.optimise.config import Optimiser

HISTORY = 10  # pairs that lbfgs remembers: 2 * HISTORY codes of memory
FLAT = 1e-6  # a pair whose s.y is not above this share of |s||y| tells nothing sure of the curvature,
TINY = 1e-20  # nor does one so near the minimum that float32 rounds its products away


class Optimizer(Protocol):
    def step(self, code: Tensor, gradient: Tensor, rate: float) -> None:
        """Move `code` in place; always the same tensor."""
        ...

    def state(self) -> dict[str, Tensor]:
        """A copy of what is needed to go on to the same bits; empty before the first step."""
        ...

    def restore(self, state: Mapping[str, Tensor]) -> None: ...


def build(config: Optimiser) -> Optimizer:
    return RULES[config.rule](config)


def normalised(gradient: Tensor) -> Tensor:
    """(N, …) -> (N, …) of length 1 per row; a zero row stays zero."""
    lengths = gradient.flatten(1).norm(dim=1).clamp_min(1e-12)
    return gradient / lengths.view(-1, *[1] * (gradient.ndim - 1))


class Elementwise:
    """A torch optimizer, made at the first step. `signed`: it gets the gradient's sign, so its moments forget the size."""

    def __init__(self, make: Callable[[list[Tensor]], torch.optim.Optimizer], *, signed: bool = False) -> None:
        self.make, self.signed = make, signed
        self.optimiser: torch.optim.Optimizer | None = None
        self.saved: dict[str, Tensor] = {}

    def step(self, code: Tensor, gradient: Tensor, rate: float) -> None:
        if self.optimiser is None:
            self.optimiser = self.make([code])
            places = {"step": "cpu"}  # where torch keeps its counter; moments lie beside the code
            copies = {name: value.to(places.get(name, code.device), copy=True) for name, value in self.saved.items()}
            self.optimiser.state[code] = copies
        (group,) = self.optimiser.param_groups
        assert group["params"][0] is code
        group["lr"] = rate
        code.grad = gradient.sign() if self.signed else gradient
        self.optimiser.step()
        code.grad = None

    def state(self) -> dict[str, Tensor]:
        if self.optimiser is None:
            return dict(self.saved)
        (code,) = self.optimiser.param_groups[0]["params"]
        return {name: value.clone() for name, value in self.optimiser.state[code].items() if isinstance(value, Tensor)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.optimiser, self.saved = None, {name: value.clone() for name, value in state.items()}


class Pair(NamedTuple):
    """What a step taught of the curvature."""

    s: Tensor  # (N, D): how the code moved
    y: Tensor  # (N, D): how the gradient changed
    rho: Tensor  # (N,): 1 / s.y; 0 for a row whose pair is skipped


class Lbfgs:
    """Limited-memory BFGS (Nocedal 1980), two-loop recursion per row, no line search: code -= rate * H gradient. A row without
    curvature pairs, or whose direction does not descend, follows its gradient. A step is at most rate * sqrt(D) long."""

    def __init__(self) -> None:
        self.saved: dict[str, Tensor] | None = {}  # to begin from; None once begun
        self.last: tuple[Tensor, Tensor] | None = None  # code and gradient of the step before: (N, D)
        self.scale = torch.empty(0)  # (N,): the newest guess of 1 / curvature; 0 before there is one
        self.pairs: deque[Pair] = deque(maxlen=HISTORY)

    @torch.no_grad()
    def step(self, code: Tensor, gradient: Tensor, rate: float) -> None:
        x, g = code.flatten(1).clone(), gradient.flatten(1).clone()  # (N, D)
        if self.saved is not None:
            self._begin({name: value.to(x.device, copy=True) for name, value in self.saved.items()}, x)
        if self.last is not None:
            self._learn(x - self.last[0], g - self.last[1])
        self.last = x, g
        code.sub_((rate * self._direction(g)).view_as(code))

    def state(self) -> dict[str, Tensor]:
        if self.saved is not None:
            return dict(self.saved)
        assert self.last is not None  # a step has been taken
        pairs = {f"{field}{i}": value for i, pair in enumerate(self.pairs) for field, value in pair._asdict().items()}
        found = {"code": self.last[0], "gradient": self.last[1], "scale": self.scale, **pairs}
        return {name: value.clone() for name, value in found.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.saved = {name: value.clone() for name, value in state.items()}

    def _begin(self, own: dict[str, Tensor], x: Tensor) -> None:
        """From a saved state, or from nothing."""
        self.saved = None
        self.last = (own["code"], own["gradient"]) if own else None
        self.scale = own["scale"] if own else x.new_zeros(len(x))
        kept = sum(name.startswith("rho") for name in own)
        self.pairs = deque((Pair(own[f"s{i}"], own[f"y{i}"], own[f"rho{i}"]) for i in range(kept)), maxlen=HISTORY)

    def _learn(self, s: Tensor, y: Tensor) -> None:
        """Remember the pair for the rows that it curves upwards in: scale = s.y / y.y."""
        product = _dot(s, y)
        sure = product > (FLAT * s.norm(dim=1) * y.norm(dim=1)).clamp_min(TINY)
        self.pairs.append(Pair(s, y, torch.where(sure, 1 / product, 0.0)))
        self.scale = torch.where(sure, product / _dot(y, y), self.scale)

    def _direction(self, g: Tensor) -> Tensor:
        """H g by the two-loop recursion, at most sqrt(D) long: (N, D)."""
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


RULES: dict[str, Callable[[Optimiser], Optimizer]] = {
    "sgd": lambda config: Elementwise(torch.optim.SGD),
    "adam": lambda config: Elementwise(partial(torch.optim.Adam, betas=config.betas)),
    "signed_adam": lambda config: Elementwise(partial(torch.optim.Adam, betas=config.betas), signed=True),
    "lbfgs": lambda config: Lbfgs(),
}
