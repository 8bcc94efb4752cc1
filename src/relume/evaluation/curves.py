"""Losses over steps with intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from relume.evaluation.statistics import interval

# seed empty: the mean over seeds, with its interval
CURVES = ("method", "seed", "step", "value", "lo", "hi", "level", "n", "sources")


def curves(
    values: Mapping[tuple[str, int], np.ndarray], sources: Sequence[str], *, seed: int, resamples: int, level: float
) -> list[dict[str, Any]]:
    """`values`: by method and seed, (images, steps + 1). Intervals are over sources, of each image's mean over seeds."""
    rows: list[dict[str, Any]] = []
    for method in dict.fromkeys(name for name, _ in values):
        own = {start: table for (name, start), table in values.items() if name == method}
        together = np.mean(list(own.values()), axis=0)
        for step, column in enumerate(together.T):
            found = interval(column, sources, seed=seed, resamples=resamples, level=level)
            about = {"value": found.mean, "lo": found.lo, "hi": found.hi, "level": level, "n": found.n, "sources": found.sources}
            rows.append({"method": method, "step": step, **about})
        rows += [
            {"method": method, "seed": start, "step": step, "value": float(value), "n": len(table)}
            for start, table in own.items()
            for step, value in enumerate(table.mean(0))
        ]
    return rows
