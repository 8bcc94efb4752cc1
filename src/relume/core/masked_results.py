"""Groups of masked reconstructions: as any other, and with each row the mask, and the share of it that is hidden.

`masks.npy`: boolean (N, side, side), True where a cell is hidden. The pictures are predictions, whole: pasting is evaluation's.
`path.npy` and `path.csv` hold the first pictures at every step, from before the first one on.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from relume.core.errors import UserError
from relume.core.files import atomic, read_csv, write_csv
from relume.core.results import KEYS, Descent, Group, Row, read_array, read_group, write_group

MASKS, RATIO = "masks.npy", "mask_ratio"
STEPS = ("method", "id", RATIO, "step", "energy")  # of `path.csv`: with the energy there
GREY = 128  # what hidden cells look like where a masked picture is shown


def write_masked_group(
    folder: Path,
    *,
    images: np.ndarray,
    masks: np.ndarray,
    ratios: Sequence[float],
    rows: Sequence[Row],
    method: Mapping[str, Any],
    trace: Iterable[Mapping[str, object]] = (),
    timing: Iterable[Mapping[str, object]] = (),
    descent: Descent | None = None,
) -> None:
    """`ratios`: what was asked for; a mask hides the nearest number of cells."""
    if masks.dtype != bool or masks.ndim != 3 or len(masks) != len(rows) or len(ratios) != len(rows):
        raise ValueError(f"{folder}: {masks.dtype} {masks.shape} and {len(ratios)} ratios for {len(rows)} rows")
    (folder / "index.csv").unlink(missing_ok=True)  # written last: without it the folder is no group
    with atomic(folder / MASKS) as temporary, temporary.open("wb") as file:
        np.save(file, np.ascontiguousarray(masks), allow_pickle=False)
    write_group(folder, images=images, rows=rows, method=method, trace=trace, timing=timing, descent=descent, steps=STEPS)
    index = [{**row, RATIO: ratio} for row, ratio in zip(read_csv(folder / "index.csv"), ratios, strict=True)]
    write_csv(folder / "index.csv", (*KEYS, RATIO), index)


def read_masked_group(folder: Path) -> tuple[Group, np.ndarray]:
    """The group, whose index has `mask_ratio`, and its masks, boolean (N, side, side)."""
    group = read_group(folder)
    masks = read_array(folder / MASKS)
    if len(masks) != len(group.index) or masks.dtype != bool:
        raise UserError(f"{folder}: {masks.dtype} {masks.shape} masks for {len(group.index)} rows: run its stage again")
    return group, masks


def is_masked(folder: Path) -> bool:
    return (folder / MASKS).exists()


def visible(original: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """What a method was shown, to be looked at: uint8 (H, W, 3), hidden (side, side) -> the same, grey where it is hidden."""
    return np.where(_pixels(hidden, original), np.uint8(GREY), original)


def pasted(original: np.ndarray, predicted: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """The prediction where the picture is hidden, the picture elsewhere: uint8 (H, W, 3)."""
    return np.where(_pixels(hidden, original), predicted, original)


def _pixels(hidden: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """(side, side) -> (H, W, 1)."""
    cell = len(picture) // len(hidden)
    return hidden.repeat(cell, 0).repeat(cell, 1)[..., None]
