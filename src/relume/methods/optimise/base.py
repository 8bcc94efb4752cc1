"""What all image parametrisations are; by default a space only encodes and decodes."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor


class Parametrisation(ABC):
    keeps_code: bool  # one code decodes at any size: growth keeps it instead of encoding the grown image
    bounded: bool  # `decode` stays in [0, 1]

    @abstractmethod
    def encode(self, images: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """(N, 3, size, size) -> (N, …), the tensor that the optimizer moves; or a draw by the rows' generators."""

    @abstractmethod
    def decode(self, code: Tensor, size: int) -> Tensor:
        """(N, …) -> (N, 3, size, size)."""

    def project(self, code: Tensor) -> None:  # noqa: B027  most spaces need none
        """Changes the code in place after a step."""

    def perturbed(self, code: Tensor, progress: float, generators: Sequence[torch.Generator]) -> Tensor:
        """The code that a step looks at, `progress` (0 to 1) into the run."""
        return code

    def phase(self, progress: float) -> int:
        """Which of the code's numbers move by then, in turns: where it changes, the optimizer's state is reset."""
        return 0

    def costs(self, code: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Terms on the code: name -> weight, values (N,). They steer, but choose no image."""
        return {}
