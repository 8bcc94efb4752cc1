"""Features that the stage `extract` has saved, instead of a forward pass."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.data.store import Dataset
from relume.networks.store import Features
from relume.networks.taps import spatial

Cache = dict[str, np.ndarray]  # tap -> float16 (images of the dataset, *shape), memory-mapped


def read_cache(folder: Path, dataset: Dataset, network: str, taps: Sequence[str]) -> Cache:
    """The saved ones of `taps`."""
    features = Features.open(folder)
    found = tuple(features.described[key] for key in ("dataset", "network", "pictures"))
    if found != (expected := (dataset.name, network, len(dataset.images))):
        raise UserError(f"{folder} has dataset, network and number of images {found}, needs {expected}: run extract again")
    values = {tap: features.cached(tap) for tap in taps}
    return {tap: value for tap, value in values.items() if value is not None}


def cached(cache: Cache, rows: Sequence[int], device: torch.device) -> dict[str, Tensor]:
    """tap -> float32 (N, …) of these images; tokens as maps."""
    return {tap: spatial(torch.from_numpy(values[list(rows)]).to(device).float()) for tap, values in cache.items()}
