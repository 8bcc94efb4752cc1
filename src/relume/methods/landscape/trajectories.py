"""Adam in a latent space, for a batch of independent trajectories."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from relume.training.trainer import LOSS

EPS = 1e-8  # Adam's own

Betas = tuple[float, float]  # of Adam
See = Callable[[Tensor], dict[str, Tensor]]  # states (N, D) -> LOSS and its terms, (N,) each


@dataclass(frozen=True, kw_only=True)
class Trajectories:
    """States and Adam's moments, (N, D) each, and the steps taken, (N, 1)."""

    z: Tensor
    mean: Tensor
    square: Tensor
    age: Tensor

    @classmethod
    def begun(cls, z: Tensor) -> Self:
        return cls(z=z, mean=torch.zeros_like(z), square=torch.zeros_like(z), age=torch.zeros_like(z[:, :1]))

    def moved(self, gradient: Tensor, rate: float, betas: Betas) -> Self:
        """One step of Adam down the gradient."""
        (first, second), age = betas, self.age + 1
        mean = torch.lerp(gradient, self.mean, first)
        square = torch.lerp(gradient.square(), self.square, second)
        step = (mean / (1 - first**age)) / ((square / (1 - second**age)).sqrt() + EPS)
        return type(self)(z=self.z - rate * step, mean=mean, square=square, age=age)


@dataclass(frozen=True, kw_only=True)
class Moment:
    """After `step` steps: states (N, D), and the terms there."""

    step: int
    z: Tensor
    terms: dict[str, Tensor]


def loss_gradient(see: See, z: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """The terms at z, and the gradient of the loss by z only."""
    with torch.enable_grad():
        leaf = z.detach().requires_grad_()
        terms = see(leaf)
        (gradient,) = torch.autograd.grad(terms[LOSS].sum(), [leaf])
    return {name: value.detach() for name, value in terms.items()}, gradient


def descend(see: See, z: Tensor, *, steps: int, rate: float, betas: Betas) -> Iterator[Moment]:
    """Yields steps + 1 moments, the first at the initial z."""
    per_batch = Trajectories.begun(z)
    for step in range(steps):
        terms, gradient = loss_gradient(see, per_batch.z)
        yield Moment(step=step, z=per_batch.z, terms=terms)
        per_batch = per_batch.moved(gradient, rate, betas)
    with torch.no_grad():
        yield Moment(step=steps, z=per_batch.z, terms=see(per_batch.z))
