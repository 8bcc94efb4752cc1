"""Reads the tensors of an imported file without running its code, and returns them by name and shape."""

import re
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from relume.core.errors import UserError
from relume.networks.convert import InvalidWeights, tensors_of, unusable

AVERAGE = "g_running"  # key of the averaged weights in a checkpoint

Tensors = dict[str, Tensor]


class Found:
    """The tensors of a file. Raises UserError for missing tensors, wrong shapes and remaining tensors."""

    def __init__(self, path: Path, tensors: Tensors) -> None:
        self.path, self.left = path, dict(tensors)

    def take(self, name: str, *shape: int | None) -> Tensor:
        """The tensor as float32; None in `shape` is any length."""
        if name not in self.left:
            raise UserError(f"{self.path}: {name} is missing")
        value = self.left.pop(name)
        if fault := unusable(value):
            raise UserError(f"{self.path}: {name} {fault}")
        value = value.float()
        if value.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, value.shape, strict=True)):
            expected = ", ".join("any" if length is None else str(length) for length in shape)
            raise UserError(f"{self.path}: {name} has shape {tuple(value.shape)}, expected ({expected})")
        return value

    def numbers(self, pattern: str) -> list[int]:
        """The number in the group of `pattern`, for all names that match it."""
        return [int(found[1]) for name in self.left if (found := re.match(pattern, name))]

    def drop(self, pattern: str, of: Callable[[int], bool]) -> None:
        """Drops the tensors whose names match `pattern` if `of` is true for the number in its group."""
        self.left = {
            name: value for name, value in self.left.items() if not ((found := re.match(pattern, name)) and of(int(found[1])))
        }

    def end(self) -> None:
        if names := sorted(self.left):
            raise UserError(f"{self.path}: {len(names)} unknown tensors: {', '.join(names[:3])}")


def load(path: Path) -> Tensors:
    """A state dict, or the averaged weights of a checkpoint. Never runs code of the file."""
    try:
        return tensors_of(path, (AVERAGE,))
    except InvalidWeights as fault:
        raise UserError(f"{path}: {fault}") from None
