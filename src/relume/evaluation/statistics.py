"""Bootstrap intervals over sources: crops of one photograph are not independent. With few sources percentile intervals are too
narrow; this is the expanded percentile interval of Hesterberg ("What teachers should know about the bootstrap", 2015)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

BLOCK = 2_000_000  # draws in memory at once


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over images with its interval; NaN for a single source."""

    mean: float
    lo: float
    hi: float
    n: int
    sources: int


def interval(
    values: Sequence[float] | np.ndarray,
    sources: Sequence[str] | np.ndarray,
    *,
    seed: int,
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """The mean of `values` (one per image) and its interval at `level` from `resamples` draws of whole sources."""
    v = np.asarray(values, dtype=np.float64)
    if len(v) != len(sources) or not len(v) or not np.isfinite(v).all():
        raise ValueError(f"needs one finite value per source label, got {len(v)} values and {len(sources)} labels")
    names, which = np.unique(np.asarray(sources, dtype=str), return_inverse=True)
    lo = hi = float("nan")
    if len(names) > 1:
        means = resample(v, which, seed=seed, resamples=resamples)
        tail = expanded_tail(len(names), level)
        lo, hi = (float(bound) for bound in np.quantile(means, [tail, 1 - tail]))
    return Interval(mean=float(v.mean()), lo=lo, hi=hi, n=len(v), sources=len(names))


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Settings of intervals. With one seed, values of the same sources have the same resamples."""

    seed: int
    resamples: int
    level: float

    def interval(self, values: np.ndarray, sources: Sequence[str]) -> Interval:
        return interval(values, sources, seed=self.seed, resamples=self.resamples, level=self.level)


def resample(values: np.ndarray, which: np.ndarray, *, seed: int, resamples: int) -> np.ndarray:
    """Means over the images of sources drawn with replacement: (resamples,)."""
    sums = np.bincount(which, values)  # (S,)
    counts = np.bincount(which)  # (S,)
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    step = max(1, BLOCK // len(sums))
    for start in range(0, resamples, step):
        stop = min(start + step, resamples)
        drawn = generator.integers(len(sums), size=(stop - start, len(sums)))
        means[start:stop] = sums[drawn].sum(1) / counts[drawn].sum(1)
    return means


def expanded_tail(sources: int, level: float) -> float:
    """The tail probability at each end: Phi(-sqrt(S / (S - 1)) t), t the Student quantile with S - 1 degrees of freedom."""
    from scipy.special import stdtrit  # a sixth of a second

    t = stdtrit(sources - 1, (1 - level) / 2)
    return NormalDist().cdf(float(np.sqrt(sources / (sources - 1)) * t))


def spread(values: Sequence[float] | np.ndarray, pictures: Sequence[str] | np.ndarray) -> float:
    """Standard deviation over the restarts of an image, pooled over images; NaN without restarts."""
    v = np.asarray(values, dtype=np.float64)
    _, which = np.unique(np.asarray(pictures, dtype=str), return_inverse=True)
    counts = np.bincount(which)
    freedom = len(v) - len(counts)
    if freedom < 1:
        return float("nan")
    deviations = v - (np.bincount(which, v) / counts)[which]
    return float(np.sqrt((deviations**2).sum() / freedom))


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
