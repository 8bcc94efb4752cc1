"""What a space does beyond encoding and decoding, where it has no wishes of its own: nothing."""

from collections.abc import Sequence

import torch
from torch import Tensor


class Unsteered:
    def perturbed(self, code: Tensor, progress: float, generators: Sequence[torch.Generator]) -> Tensor:
        """The code that a step looks at, `progress` (0 to 1) into the run."""
        return code

    def phase(self, progress: float) -> int:
        """Which of the code's numbers move by then, by turns: where it changes, what a mover remembers is of others."""
        return 0

    def costs(self, code: Tensor) -> dict[str, tuple[float, Tensor]]:
        """What is asked of the code besides the objective: name -> weight, values (N,). It steers, but chooses no picture."""
        return {}
