"""The spread of samples, `spread.npy` beside a group's images, and its correlation with the error of their mean."""

from dataclasses import dataclass

import numpy as np

from relume.core.results import Group, read_array
from relume.methods.diffusion.family import MEAN

SPREAD = "spread.npy"  # float16 (N, H, W): a row for each row of a method `_mean`, in their order
ENDS = ("", "_lo", "_hi")  # of a correlation's three numbers
RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class Spread:
    """One method `_mean`: its rows in the group, and their spreads (N, H, W)."""

    method: str
    rows: list[int]
    maps: np.ndarray


def spreads(group: Group) -> list[Spread]:
    """Spreads by method; empty for groups without samples."""
    if not (group.folder / SPREAD).exists():
        return []
    rows: dict[str, list[int]] = {}
    for number, row in enumerate(group.index):
        if row["method"].endswith(f"_{MEAN}"):
            rows.setdefault(row["method"], []).append(number)
    maps = read_array(group.folder / SPREAD)
    found: list[Spread] = []
    for method, own in rows.items():
        start = sum(len(one.rows) for one in found)
        found.append(Spread(method=method, rows=own, maps=maps[start : start + len(own)].astype(np.float32)))
    return found


def errors(pictures: np.ndarray, originals: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W, 3) each -> the root mean square over colours, (N, H, W), for pictures in [0, 1]."""
    apart = (pictures.astype(np.float32) - originals.astype(np.float32)) / 255
    rms: np.ndarray = np.sqrt((apart**2).mean(-1))
    return rms


def agreement(maps: np.ndarray, error: np.ndarray) -> dict[str, float]:
    """Correlations of spreads and errors, (N, H, W) each, with 95 % intervals: over the pixels of a picture, the mean over
    pictures; over pictures, of root mean squares; and over all pixels of all pictures, `pooled`, whose interval is over resampled
    pictures. All pictures are taken to be independent."""
    from scipy.stats import pearsonr  # half a second

    a, b = (values.reshape(len(values), -1).astype(np.float64) for values in (maps, error))
    count = len(a)
    within = np.array([pearsonr(*pair).statistic for pair in zip(a, b, strict=True)])
    half = 1.96 * within.std(ddof=1) / count**0.5
    over = pearsonr(*(np.sqrt((values**2).mean(1)) for values in (a, b)))
    moments = np.stack([values.mean(1) for values in (a, b, a * a, b * b, a * b)])  # (5, N)
    counts = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    lo, hi = np.quantile(_correlation(moments @ counts.T / count), [0.025, 0.975])
    found = {
        "pixels": (within.mean(), within.mean() - half, within.mean() + half),
        "pictures": (over.statistic, *over.confidence_interval(0.95)),
        "pooled": (_correlation(moments.mean(1)), lo, hi),
    }
    return {f"{name}{end}": float(value) for name, of in found.items() for end, value in zip(ENDS, of, strict=True)}


def _correlation(moments: np.ndarray) -> np.ndarray:
    """Means of a, b, a², b² and ab -> the correlation of a and b."""
    a, b, aa, bb, ab = moments
    found: np.ndarray = (ab - a * b) / np.sqrt((aa - a**2) * (bb - b**2))
    return found
