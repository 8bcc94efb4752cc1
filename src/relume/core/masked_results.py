"""Groups of masked reconstructions: as any other, and with each row the mask, and the share of it that is hidden.

`masks.npy`: boolean (N, side, side), True where a cell is hidden. The pictures are predictions, whole: pasting is evaluation's.
`path.npy` and `path.csv`: of methods that go to their picture step by step, some pictures at each step, and the energy there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from relume.core.errors import UserError
from relume.core.files import atomic, read_csv, write_csv
from relume.core.results import KEYS, Group, Row, read_group, write_group

MASKS, RATIO = "masks.npy", "mask_ratio"
PATH_IMAGES, PATH_ROWS = "path.npy", "path.csv"
STEPS = ("method", "id", RATIO, "step", "energy")
GREY = 128  # what hidden cells look like where a masked picture is shown


@dataclass(frozen=True, kw_only=True)
class Descent:
    """Pictures on their way: a row for each picture and step, from before the first one on."""

    images: np.ndarray  # uint8 (rows, H, W, 3)
    rows: Sequence[Mapping[str, object]]  # STEPS; text when read back


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
    """`ratios`: what was asked for; a mask hides the nearest number of cells. Without a descent its files have no rows."""
    way = Descent(images=images[:0], rows=[]) if descent is None else descent
    if masks.dtype != bool or masks.ndim != 3 or len(masks) != len(rows) or len(ratios) != len(rows):
        raise ValueError(f"{folder}: {masks.dtype} {masks.shape} and {len(ratios)} ratios for {len(rows)} rows")
    (folder / "index.csv").unlink(missing_ok=True)  # written last: without it the folder is no group
    for name, array in ((MASKS, masks), (PATH_IMAGES, way.images)):
        with atomic(folder / name) as temporary, temporary.open("wb") as file:
            np.save(file, np.ascontiguousarray(array), allow_pickle=False)
    write_csv(folder / PATH_ROWS, STEPS, way.rows)
    write_group(folder, images=images, rows=rows, method=method, trace=trace, timing=timing)
    index = [{**row, RATIO: ratio} for row, ratio in zip(read_csv(folder / "index.csv"), ratios, strict=True)]
    write_csv(folder / "index.csv", (*KEYS, RATIO), index)


def read_masked_group(folder: Path) -> tuple[Group, np.ndarray]:
    """The group, whose index has `mask_ratio`, and its masks, boolean (N, side, side)."""
    group = read_group(folder)
    masks = _array(folder / MASKS)
    if len(masks) != len(group.index) or masks.dtype != bool:
        raise UserError(f"{folder}: {masks.dtype} {masks.shape} masks for {len(group.index)} rows: run its stage again")
    return group, masks


def read_descent(folder: Path) -> Descent:
    rows, images = read_csv(folder / PATH_ROWS), _array(folder / PATH_IMAGES)
    if len(rows) != len(images):
        raise UserError(
            f"{folder}: {len(images)} pictures in {PATH_IMAGES} but {len(rows)} rows in {PATH_ROWS}: run its stage again"
        )
    return Descent(images=images, rows=rows)


def _array(path: Path) -> np.ndarray:
    try:
        found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): run its stage again") from None
    return found


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
