"""`data/features/<dataset>/<network>/`: `stats.json` on every tap, and a memory-mapped float16 `<tap>.npy` of the small ones."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from relume.core.errors import UserError, one_of
from relume.core.files import read_json

STATS = "stats.json"


@dataclass(frozen=True, kw_only=True)
class Features:
    """What `extract` left. `described` is the whole of `stats.json`: dataset, network, split and n of the statistics, `taps`,
    and the `order` of the taps from shallow to deep, which JSON's sorted keys would lose."""

    folder: Path
    described: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Self:
        return cls(folder=folder, described=read_json(folder / STATS))

    def stats(self, tap: str) -> dict[str, Any]:
        """`shape`, `mean_norm`, and `msd`: the mean over pictures of the squared distance to the mean feature."""
        taps: dict[str, dict[str, Any]] = self.described["taps"]
        if tap not in taps:
            raise UserError(f"{self.folder / STATS}: no tap {tap!r}; {one_of(taps, tap)}")
        return taps[tap]

    def cached(self, tap: str) -> np.ndarray | None:
        """float16 (pictures, *shape) in the order of the dataset, or None where the tap is too big to be kept."""
        if not self.stats(tap)["cached"]:
            return None
        values: np.ndarray = np.load(self.folder / f"{tap}.npy", mmap_mode="r", allow_pickle=False)
        if len(values) != self.described["pictures"]:
            raise UserError(
                f"{self.folder / tap}.npy holds {len(values)} pictures, not {self.described['pictures']}: extract anew"
            )
        return values
