"""The discriminator of an adversarial objective: it learns in the module's steps, from its own loss, and is not kept."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from relume.training import optimiser
from relume.training.ema import State, below, prefixed
from relume.training.ranks import Ranks, synced

DISCRIMINATOR = "discriminator"  # the term that it minimises; no gradient of it may reach the module
BETAS = (0.5, 0.999)  # little momentum: the generator moves on (Radford et al., arXiv 1511.06434)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """What is computed inside has no gradients for the module's weights."""
    learning = [weights for weights in module.parameters() if weights.requires_grad]
    module.requires_grad_(False)
    try:
        yield
    finally:
        for weights in learning:
            weights.requires_grad_(True)


class DiscriminatorState:
    """A discriminator on its device, and its Adam. Its rate follows the module's schedule: neither outruns the other."""

    def __init__(self, module: nn.Module, learning_rate: float, betas: tuple[float, float] = BETAS) -> None:
        self.module, self.learning_rate = module, learning_rate
        self.optimizer = torch.optim.Adam(module.parameters(), lr=learning_rate, betas=betas)

    def step(self, loss: Tensor, share: float, ranks: Ranks) -> None:
        """One step at this share of its rate. Gradients that something else has left there are thrown away."""
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
