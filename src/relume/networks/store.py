"""Reads `data/features/<dataset>/<network>/`: `stats.json` with statistics of all taps, float16 `<tap>.npy` of small ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from relume.core.errors import UserError, one_of
from relume.core.files import read_json
from relume.data.store import Dataset
from relume.networks.taps import spatial

STATS = "stats.json"


@dataclass(frozen=True, kw_only=True)
class Features:
    """The output of `extract`. `described` is `stats.json`: dataset, network, split and n of the statistics, `taps`, and their
    `order` from shallow to deep."""

    folder: Path
    described: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Self:
        return cls(folder=folder, described=read_json(folder / STATS))

    def stats(self, tap: str) -> dict[str, Any]:
        """`shape`, `mean_norm`, and `msd`: the mean over images of the squared distance to the mean feature."""
        taps: dict[str, dict[str, Any]] = self.described["taps"]
        if tap not in taps:
            raise UserError(f"{self.folder / STATS}: no tap {tap!r}; {one_of(taps, tap)}")
        return taps[tap]

    def of(self, tap: str, rows: Sequence[int]) -> np.ndarray | None:
        """float16 (rows, *shape), None if the tap is not saved for all these rows."""
        values, kept = self.values(tap), self.described["kept"]
        positions = {row: position for position, row in enumerate(range(self.described["pictures"]) if kept is None else kept)}
        return None if values is None or not positions.keys() >= set(rows) else values[[positions[row] for row in rows]]

    def values(self, tap: str) -> np.ndarray | None:
        """float16 (kept images, *shape); None if the tap is not saved."""
        if not self.stats(tap)["cached"]:
            return None
        values: np.ndarray = np.load(self.folder / f"{tap}.npy", mmap_mode="r", allow_pickle=False)
        kept = self.described["kept"]
        expected = self.described["pictures"] if kept is None else len(kept)
        if len(values) != expected:
            raise UserError(f"{self.folder / tap}.npy has {len(values)} images, expected {expected}: run extract again")
        return values


Cache = dict[str, np.ndarray]  # tap -> float16 (images of the dataset, *shape), memory-mapped


def read_cache(folder: Path, dataset: Dataset, network: str, taps: Sequence[str]) -> Cache:
    """The saved ones of `taps`."""
    features = Features.open(folder)
    found = tuple(features.described[key] for key in ("dataset", "network", "pictures"))
    if found != (expected := (dataset.name, network, len(dataset.images))):
        raise UserError(f"{folder} has dataset, network and number of images {found}, needs {expected}: run extract again")
    values = {tap: features.values(tap) for tap in taps if features.described["kept"] is None}
    return {tap: value for tap, value in values.items() if value is not None}


def cached(cache: Cache, rows: Sequence[int], device: torch.device) -> dict[str, Tensor]:
    """tap -> float32 (N, …) of these images; tokens as maps."""
    return {tap: spatial(torch.from_numpy(values[list(rows)]).to(device).float()) for tap, values in cache.items()}
