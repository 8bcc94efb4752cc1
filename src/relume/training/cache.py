"""Features that the stage `extract` has kept, in the place of a network's forward pass."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.data.store import Dataset
from relume.methods.decoder.config import DecoderConfig
from relume.networks.store import Features

Cache = dict[str, np.ndarray]  # tap -> float16 (pictures of the dataset, *shape), memory-mapped


def read_cache(folder: Path | None, config: DecoderConfig, dataset: Dataset) -> Cache:
    """The decoder's taps; none where its features are computed."""
    if not config.cached:
        return {}
    if folder is None:
        raise UserError(f"features: {config.features} is to be read, but no folder of features was given")
    features = Features.open(folder)
    found = tuple(features.described[key] for key in ("dataset", "network", "pictures"))
    if found != (wanted := (dataset.name, config.network, len(dataset.images))):
        raise UserError(f"{folder} holds dataset, network and number of pictures {found}, and {wanted} are wanted: extract anew")
    return {tap: _tap(features, tap) for tap in config.taps}


def _tap(features: Features, tap: str) -> np.ndarray:
    values = features.cached(tap)
    if values is None:
        network = features.described["network"]
        cure = f"extract.cached must list {network}, and extract.budget_mb have room for all pictures"
        raise UserError(f"{features.folder} keeps no features of tap {tap}: {cure}; or compute them (features: data/none)")
    return values


def cached(cache: Cache, rows: Sequence[int], device: torch.device) -> dict[str, Tensor]:
    """tap -> float32 (N, …) of these pictures."""
    return {tap: torch.from_numpy(values[list(rows)]).to(device).float() for tap, values in cache.items()}
