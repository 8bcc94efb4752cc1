"""A sheet of samples and the model's outputs for them, at previews spread over the training."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from relume.core.sheet import grid

PREVIEWS = 8  # rows, at most, below the samples
COLUMNS = 6  # samples, at most


class Progress:
    """Rows of uint8 (K, H, W, 3): the samples, then the outputs. `previews`: their number in the training."""

    def __init__(self, previews: int) -> None:
        self.previews = previews
        self.rows: list[np.ndarray] = []

    def add(self, number: int, originals: np.ndarray, outputs: np.ndarray) -> None:
        """Preview `number`, from 1 on. The kept ones are spread evenly and include the last."""
        if not self.rows:
            self.rows.append(originals[:COLUMNS])
        most = min(PREVIEWS, self.previews)
        if number * most // self.previews > (number - 1) * most // self.previews:
            self.rows.append(outputs[:COLUMNS])

    def sheet(self) -> np.ndarray | None:
        """One image; None without previews."""
        return grid(np.stack(self.rows)) if self.rows else None

    def state(self) -> dict[str, Tensor]:
        return {"rows": torch.from_numpy(np.stack(self.rows))} if self.rows else {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        self.rows = list(tensors["rows"].numpy()) if tensors else []
