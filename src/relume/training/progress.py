"""How the pictures came to be: the same few samples at looks spread over a training."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from relume.core.images import grid

LOOKS = 8  # rows, at most, below the samples
COLUMNS = 6  # samples, at most


class Progress:
    """Rows of uint8 (K, H, W, 3): the samples, then what was made of them. `looks`: how many there will be in the training."""

    def __init__(self, looks: int) -> None:
        self.looks = looks
        self.rows: list[np.ndarray] = []

    def see(self, number: int, originals: np.ndarray, made: np.ndarray) -> None:
        """Look `number`, from 1 on. Those that are kept are spread evenly; the last is always one of them."""
        if not self.rows:
            self.rows.append(originals[:COLUMNS])
        if self._kept(number):
            self.rows.append(made[:COLUMNS])

    def _kept(self, number: int) -> bool:
        most = min(LOOKS, self.looks)
        return number * most // self.looks > (number - 1) * most // self.looks

    def sheet(self) -> np.ndarray | None:
        """One picture, or None where nothing was looked at."""
        return grid(np.stack(self.rows)) if self.rows else None

    def state(self) -> dict[str, Tensor]:
        return {"rows": torch.from_numpy(np.stack(self.rows))} if self.rows else {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        self.rows = list(tensors["rows"].numpy()) if tensors else []
