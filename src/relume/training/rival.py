"""A second player in a training: it learns in the same steps as the module, from a loss of its own, and is not kept."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from relume.training import optimiser
from relume.training.ema import State
from relume.training.ranks import Ranks, synced

RIVAL = "rival"  # the term that it minimises; no gradient of it may reach the module
BETAS = (0.5, 0.999)  # little momentum: its opponent moves on (Radford et al., arXiv 1511.06434)


@dataclass(frozen=True, kw_only=True)
class Rival:
    """A module on its device. Its rate follows the schedule of the first player's: neither outruns the other in the end."""

    module: nn.Module
    learning_rate: float
    betas: tuple[float, float] = BETAS  # of its Adam


@contextmanager
def at_rest(module: nn.Module) -> Iterator[None]:
    """What is computed inside has no slopes for the module's weights."""
    learning = [weights for weights in module.parameters() if weights.requires_grad]
    module.requires_grad_(False)
    try:
        yield
    finally:
        for weights in learning:
            weights.requires_grad_(True)


class Opponent:
    """Where the second player stands."""

    def __init__(self, rival: Rival) -> None:
        self.rival, self.module = rival, rival.module
        self.mover = torch.optim.Adam(self.module.parameters(), lr=rival.learning_rate, betas=rival.betas)

    def advance(self, loss: Tensor, share: float, ranks: Ranks) -> None:
        """One step; `share` of its rate. Gradients that something else has left there are thrown away."""
        self.mover.zero_grad(set_to_none=True)
        loss.backward()
        ranks.average(synced(self.module))
        for group in self.mover.param_groups:
            group["lr"] = self.rival.learning_rate * share
        self.mover.step()

    def state(self) -> State:
        return {
            **{f"model.{name}": value for name, value in self.module.state_dict().items()},
            **{f"optimiser.{name}": value for name, value in optimiser.state(self.mover).items()},
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        parts: dict[str, State] = {"model": {}, "optimiser": {}}
        for key, value in tensors.items():
            part, name = key.split(".", 1)
            parts[part][name] = value
        self.module.load_state_dict(parts["model"])
        optimiser.restore(self.mover, parts["optimiser"])
