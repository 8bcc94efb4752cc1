"""The tensors of a foreign file: read without running anything, and taken by name and shape."""

import re
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from relume.core.errors import UserError
from relume.networks.convert import InvalidWeights, tensors_of, unusable

AVERAGE = "g_running"  # in a checkpoint, beside the weights of the last step and the optimisers

Tensors = dict[str, Tensor]


class Found:
    """The tensors of a file, taken one by one: what is missing, of another shape or left over is named."""

    def __init__(self, path: Path, tensors: Tensors) -> None:
        self.path, self.left = path, dict(tensors)

    def take(self, name: str, *shape: int | None) -> Tensor:
        """float32; None admits any length."""
        if name not in self.left:
            raise UserError(f"{self.path}: {name} is missing")
        value = self.left.pop(name)
        if fault := unusable(value):
            raise UserError(f"{self.path}: {name} {fault}")
        value = value.float()
        if value.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, value.shape, strict=True)):
            wanted = ", ".join("any" if length is None else str(length) for length in shape)
            raise UserError(f"{self.path}: {name} has shape {tuple(value.shape)}, ({wanted}) is wanted")
        return value

    def numbers(self, pattern: str) -> list[int]:
        """What the group of `pattern` is in the names that begin so."""
        return [int(found[1]) for name in self.left if (found := re.match(pattern, name))]

    def drop(self, pattern: str, of: Callable[[int], bool]) -> None:
        """Forget the tensors whose names begin so, where the group is such a number."""
        self.left = {
            name: value for name, value in self.left.items() if not ((found := re.match(pattern, name)) and of(int(found[1])))
        }

    def end(self) -> None:
        if names := sorted(self.left):
            raise UserError(f"{self.path}: {len(names)} tensors are foreign here: {', '.join(names[:3])}")


def load(path: Path) -> Tensors:
    """A state dict, or the average in a checkpoint; nothing that a file brings with it is run."""
    try:
        return tensors_of(path, (AVERAGE,))
    except InvalidWeights as fault:
        raise UserError(f"{path}: {fault}") from None
