"""Training data of a landscape: trajectories that advance during training, and a replay buffer of their states. All are part of
the module's state, so that a killed training resumes. Each process has its own; a checkpoint holds those of the first."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from relume.methods.landscape.model import Landscape
from relume.methods.landscape.trajectories import Betas, Trajectories, loss_gradient
from relume.training.replay import Ring

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
