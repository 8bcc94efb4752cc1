"""Features of whole images by masked models."""

import numpy as np
import torch

from relume.core.errors import UserError
from relume.data.store import Dataset
from relume.methods.masked.trained import TrainedMasked


@torch.no_grad()
def represent(model: TrainedMasked, dataset: Dataset, rows: list[int], micro_batch: int) -> np.ndarray:
    """Features of rows of a dataset: float32 (N, D)."""
    if model.size != dataset.size:
        raise UserError(f"masked model {model.name} needs images of {model.size} px, those of {dataset.name} have {dataset.size}")
    device = next(model.module.parameters()).device
    parts = (rows[at : at + micro_batch] for at in range(0, len(rows), micro_batch))
    return np.concatenate([model.module.represent(dataset.pixels(part).to(device)).float().cpu().numpy() for part in parts])
