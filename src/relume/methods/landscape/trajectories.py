"""Independent trajectories of Adam in a latent space, those that advance during training, and the replay buffer of their states.
These two are part of the module's state, so that a killed training resumes. Each process has its own; a checkpoint holds those of
the first."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from relume.methods.landscape.model import Landscape
from relume.training.replay import Ring
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


Seen = Callable[[Tensor, Tensor], dict[str, Tensor]]  # states (N, D), indices of their images (N,) -> LOSS and terms, (N,)


class Going(nn.Module):
    """Current trajectories. A finished one is replaced by a new one with another image, state and optimizer state."""

    z: Tensor
    mean: Tensor
    square: Tensor
    age: Tensor  # (count, 1)
    pictures: Tensor  # (count,)

    def __init__(self, count: int, size: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        for name in ("z", "mean", "square"):
            self.register_buffer(name, torch.zeros(count, size))
        self.register_buffer("age", torch.full((count, 1), float(steps)))
        self.register_buffer("pictures", torch.zeros(count, dtype=torch.int64))

    @torch.no_grad()
    def renew(self, starts: Tensor, pictures: Tensor) -> None:
        """Replaces finished trajectories by the start and image of the same row."""
        ended = self.age >= self.steps
        self.pictures.copy_(torch.where(ended[:, 0], pictures, self.pictures))
        self._keep(Trajectories.begun(torch.where(ended, starts, self.z)), ended)

    def _keep(self, per_batch: Trajectories, where: Tensor) -> None:
        for name in ("z", "mean", "square", "age"):
            own: Tensor = getattr(self, name)
            own.copy_(torch.where(where, getattr(per_batch, name), own))

    def advance(self, see: Seen, rate: float, betas: Betas) -> None:
        """One step of each trajectory."""
        per_batch = Trajectories(z=self.z, mean=self.mean, square=self.square, age=self.age)
        _, gradient = loss_gradient(lambda z: see(z, self.pictures), self.z)
        self._keep(per_batch.moved(gradient, rate, betas), torch.ones_like(self.age, dtype=torch.bool))


class Learner(nn.Module):
    """A landscape with its training data. Only the landscape has weights and is saved as the model."""

    def __init__(self, landscape: Landscape, *, per_batch: int, steps: int, replay: int) -> None:
        super().__init__()
        self.landscape, size = landscape, landscape.centre.numel()
        self.going = Going(per_batch, size, steps)
        self.ring = Ring(states=torch.zeros(replay * steps, size), pictures=torch.zeros(replay * steps, dtype=torch.int64))
