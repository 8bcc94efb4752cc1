"""The spread of draws, `spread.npy` beside a group's pictures, against the errors of their mean."""

from dataclasses import dataclass

import numpy as np

from relume.core.results import Group, read_array
from relume.methods.diffusion.family import MEAN

SPREAD = "spread.npy"  # float16 (N, H, W): a row for each row of a method `_mean`, in their order


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Of one method `_mean`: rows of the group's pictures, and their spreads (N, H, W)."""

    method: str
    rows: list[int]
    maps: np.ndarray


def spreads(group: Group) -> list[Spread]:
    """By method; none where no draws were made."""
    if not (group.folder / SPREAD).exists():
        return []
    rows: dict[str, list[int]] = {}
    for number, row in enumerate(group.index):
        if row["method"].endswith(f"_{MEAN}"):
            rows.setdefault(row["method"], []).append(number)
    maps, found = read_array(group.folder / SPREAD), []
    for method, own in rows.items():
        start = sum(len(one.rows) for one in found)
        found.append(Spread(method=method, rows=own, maps=maps[start : start + len(own)].astype(np.float32)))
    return found


def errors(pictures: np.ndarray, originals: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W, 3) each -> the root mean square over colours, (N, H, W), for pictures in [0, 1]."""
    apart = (pictures.astype(np.float32) - originals.astype(np.float32)) / 255
    rms: np.ndarray = np.sqrt((apart**2).mean(-1))
    return rms


def inside(maps: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Correlation over the pixels of each picture: (N, H, W) each -> (N,)."""
    a, b = (values.reshape(len(values), -1) for values in (maps, error))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    found: np.ndarray = (a * b).sum(1) / np.maximum(np.sqrt((a**2).sum(1) * (b**2).sum(1)), 1e-12)
    return found


def between(maps: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each picture, the root mean squares of spread and error: (N,) each."""
    spread, own = (np.sqrt((values**2).mean((1, 2))) for values in (maps, error))
    return spread, own
