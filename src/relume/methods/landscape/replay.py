"""What a landscape is trained on: trajectories that go on while it learns, and a replay memory of their states. All of it is
state of the module, so a killed training resumes. Each process has its own; a checkpoint holds the first one's."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from relume.methods.landscape.model import Landscape
from relume.methods.landscape.trajectories import Betas, Trajectories, loss_gradient
from relume.training.replay import Ring

Seen = Callable[[Tensor, Tensor], dict[str, Tensor]]  # states (N, D), numbers of their pictures (N,) -> LOSS and terms, (N,)


class Going(nn.Module):
    """Trajectories on their way. One that has taken all its steps is begun anew: another picture, another state, no memory."""

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
        """Where one has ended: the start and the picture of the same row."""
        ended = self.age >= self.steps
        self.pictures.copy_(torch.where(ended[:, 0], pictures, self.pictures))
        self._keep(Trajectories.begun(torch.where(ended, starts, self.z)), ended)

    def _keep(self, per_batch: Trajectories, where: Tensor) -> None:
        for name in ("z", "mean", "square", "age"):
            own: Tensor = getattr(self, name)
            own.copy_(torch.where(where, getattr(per_batch, name), own))

    def advance(self, see: Seen, rate: float, betas: Betas) -> None:
        """A step each."""
        per_batch = Trajectories(z=self.z, mean=self.mean, square=self.square, age=self.age)
        _, gradient = loss_gradient(lambda z: see(z, self.pictures), self.z)
        self._keep(per_batch.moved(gradient, rate, betas), torch.ones_like(self.age, dtype=torch.bool))


class Learner(nn.Module):
    """A landscape with what it learns from. Only the landscape has weights, and only it is kept in the end."""

    def __init__(self, landscape: Landscape, *, per_batch: int, steps: int, replay: int) -> None:
        super().__init__()
        self.landscape, size = landscape, landscape.centre.numel()
        self.going = Going(per_batch, size, steps)
        self.ring = Ring(states=torch.zeros(replay * steps, size), pictures=torch.zeros(replay * steps, dtype=torch.int64))
