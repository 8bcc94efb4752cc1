"""The base class of image parametrisations."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor


class Parametrisation(ABC):
    keeps_code: bool  # parameters decode at any size: growth keeps them instead of encoding the grown image
    bounded: bool  # `decode` stays in [0, 1]

    @abstractmethod
    def encode(self, images: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """(N, 3, size, size) -> (N, …), the tensor to optimise; or a draw by the rows' generators."""

    @abstractmethod
    def decode(self, code: Tensor, size: int) -> Tensor:
        """(N, …) -> (N, 3, size, size)."""

    def project(self, code: Tensor) -> None:  # noqa: B027  most spaces need none
        """Projects the parameters in place after a step."""

    def perturbed(self, code: Tensor, progress: float, generators: Sequence[torch.Generator]) -> Tensor:
        """The parameters at which a step is computed. `progress`: 0 to 1 in the run."""
        return code

    def phase(self, progress: float) -> int:
        """The number of the phase; each optimises other parameters and resets the optimizer's state."""
        return 0

    def costs(self, code: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Penalties on the parameters: name -> weight, values (N,). They do not select images."""
        return {}
