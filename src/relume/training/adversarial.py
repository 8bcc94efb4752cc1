"""The discriminator of an adversarial objective: one step per step of the module, on its own loss. It is not saved."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from relume.training import optimiser
from relume.training.optimiser import State, below, prefixed
from relume.training.ranks import Ranks, synced

DISCRIMINATOR = "discriminator"  # its loss term, whose gradients must not reach the module
BETAS = (0.5, 0.999)  # low momentum (Radford et al., arXiv 1511.06434)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Inside, the module's weights get no gradients."""
    trainable = [weights for weights in module.parameters() if weights.requires_grad]
    module.requires_grad_(False)
    try:
        yield
    finally:
        for weights in trainable:
            weights.requires_grad_(True)


class DiscriminatorState:
    """A discriminator and its Adam optimizer. Its learning rate follows the module's schedule."""

    def __init__(self, module: nn.Module, learning_rate: float, betas: tuple[float, float] = BETAS) -> None:
        self.module, self.learning_rate = module, learning_rate
        self.optimizer = torch.optim.Adam(module.parameters(), lr=learning_rate, betas=betas)

    def step(self, loss: Tensor, share: float, ranks: Ranks) -> None:
        """One step at `share` times the learning rate. Earlier gradients are discarded."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        ranks.average(synced(self.module))
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * share
        self.optimizer.step()

    def state(self) -> State:
        return prefixed("model", self.module.state_dict()) | prefixed("optimiser", optimiser.state(self.optimizer))

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        self.module.load_state_dict(below("model", tensors))
        optimiser.restore(self.optimizer, below("optimiser", tensors))
