"""Intermediate images of a method at logarithmically spaced steps. Saving them does not change the result."""

from collections.abc import Mapping, Sequence

import numpy as np

from relume.core.files import Scratch
from relume.core.results import Descent

FOLLOWED = 64  # the first images of a group, whose path is saved
KEPT = ".path.npy"  # suffix of the shards' files in a method's scratch folder


def moments(steps: int) -> list[int]:
    """1, 2, 5, 10, 20, 50, ... and the last step."""
    marks = [digit * 10**power for power in range(len(str(steps))) for digit in (1, 2, 5)]
    return [*(mark for mark in marks if mark < steps), steps]


def walked(method: str, ids: Sequence[str], steps: int, pictures: np.ndarray) -> Descent:
    """`pictures`: uint8 (N, moments, H, W, 3), of the first N ids."""
    rows = [{"method": method, "id": id, "step": step} for id in ids[: len(pictures)] for step in moments(steps)]
    return Descent(images=pictures.reshape(-1, *pictures.shape[2:]), rows=rows)


def followed(method: str, ids: Sequence[str], steps: int, scratch: Scratch) -> Descent:
    """The paths that a method's shards have saved, in the order of its images."""
    return walked(method, ids, steps, np.concatenate([np.load(path) for path in sorted(scratch.folder.glob(f"*{KEPT}"))]))


def together(parts: Sequence[Descent]) -> Descent | None:
    """The paths of all methods of a group; None if no method is iterative."""
    if not parts:
        return None
    rows: list[Mapping[str, object]] = [row for part in parts for row in part.rows]
    return Descent(images=np.concatenate([part.images for part in parts]), rows=rows)
