"""A group of reconstructions in `data/reconstructions/<group>/`: images, one index row each, a trace; iterative methods also save
the first images at some steps. `metrics/runs/<group>/` holds `method.json` and `timing.csv`, on which no score depends. Masked
groups have `masks.npy`, boolean (N, side, side), True where hidden, and a column `mask_ratio`; images are whole predictions."""

import atexit
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from relume.core.errors import UserError
from relume.core.files import atomic, cannot_write, part, read_csv, read_json, sweep, write_csv, write_json

KEYS = ("method", "family", "task", "oracle", "id", "dataset", "size", "network", "tap", "restart", "selected", "objective")
TRACE = ("method", "step", "term", "value")  # means over images; terms are unweighted, `objective` is their weighted sum
TIMING = ("method", "step", "seconds")  # seconds since the method's start, for all its images together
METHOD_FILE, TIMING_FILE = "method.json", "timing.csv"
IMAGES = "images.npy"
PATH_IMAGES, PATH_ROWS = "path.npy", "path.csv"
PATH = ("method", "id", "step")  # of the selected restart
MASKS, RATIO = "masks.npy", "mask_ratio"
STEPS = ("method", "id", RATIO, "step", "energy")  # columns of `path.csv` in masked groups
GREY = 128  # value of hidden cells where a masked image is shown
TASKS = ("feature", "image", "masked")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One image of a group. `objective` is the value that the method minimised; baselines have none."""

    method: str
    family: str
    task: str
    oracle: bool  # the method uses the original image, not only its features
    id: str
    dataset: str
    size: int
    network: str = ""
    tap: str = ""  # several taps are joined by +
    restart: int = 0
    selected: bool = True  # the restart with the best objective; only these are ranked
    objective: float | None = None

    def __post_init__(self) -> None:
        if not self.family or self.task not in TASKS:
            raise ValueError(f"{self.method}: no family, or unknown task {self.task!r}")


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group as read from disk; `index` cells are text, as in the file."""

    name: str
    images: np.ndarray  # uint8 (N, H, W, 3), memory-mapped
    index: list[dict[str, str]]
    folder: Path

    @property
    def method(self) -> dict[str, Any]:
        return read_json(run_folder(self.folder) / METHOD_FILE)

    @property
    def timing(self) -> list[dict[str, str]]:
        return read_csv(run_folder(self.folder) / TIMING_FILE)


@dataclass(frozen=True, kw_only=True)
class Descent:
    """Intermediate images: one row for each image and step."""

    images: np.ndarray  # uint8 (rows, H, W, 3)
    rows: Sequence[Mapping[str, object]]  # columns PATH, in masked groups STEPS; text when read from disk


def run_folder(folder: Path) -> Path:
    """The folder of a group's `method.json` and `timing.csv`: `metrics/runs/<group>/` in the pipeline, else the group's own."""
    if folder.parent.parts[-2:] != ("data", "reconstructions"):
        return folder
    return folder.parent.parent.parent / "metrics" / "runs" / folder.name


def write_group(
    folder: Path,
    *,
    images: np.ndarray,
    rows: Sequence[Row],
    method: Mapping[str, Any],
    trace: Iterable[Mapping[str, object]] = (),
    timing: Iterable[Mapping[str, object]] = (),
    descent: Descent | None = None,
    masks: np.ndarray | None = None,
    ratios: Sequence[float] = (),
) -> None:
    """`method`: config, device, provenance. Equal inputs give equal bytes, except `timing.csv`. `masks` and `ratios`, of masked
    groups, have an entry for each row: a mask hides the number of cells nearest to its ratio."""
    if images.dtype != np.uint8 or len(images) != len(rows):
        raise ValueError(f"{folder}: {images.dtype} {images.shape} for {len(rows)} rows")
    index: Iterable[dict[str, object]] = ({key: getattr(row, key) for key in KEYS} for row in rows)
    arrays = {IMAGES: images, PATH_IMAGES: images[:0] if descent is None else descent.images}
    if masks is not None:
        if masks.dtype != bool or masks.ndim != 3 or len(masks) != len(rows) or len(ratios) != len(rows):
            raise ValueError(f"{folder}: {masks.dtype} {masks.shape} and {len(ratios)} ratios for {len(rows)} rows")
        arrays[MASKS] = masks
        index = ({**row, RATIO: ratio} for row, ratio in zip(index, ratios, strict=True))
    (folder / "index.csv").unlink(missing_ok=True)  # written last: a folder without it is not a group
    for name, array in arrays.items():
        write_array(folder / name, array)
    write_csv(folder / PATH_ROWS, PATH if masks is None else STEPS, [] if descent is None else descent.rows)
    write_csv(folder / "trace.csv", TRACE, trace)
    write_csv(run_folder(folder) / TIMING_FILE, TIMING, timing)
    write_json(run_folder(folder) / METHOD_FILE, dict(method))
    write_csv(folder / "index.csv", KEYS if masks is None else (*KEYS, RATIO), index)


def read_group(folder: Path) -> Group:
    index, images = read_csv(folder / "index.csv"), read_array(folder / IMAGES)
    if len(index) != len(images):
        raise UserError(f"{folder}: index.csv has {len(index)} rows, images.npy has {len(images)} images: run its stage again")
    return Group(name=folder.name, images=images, index=index, folder=folder)


def read_masked_group(folder: Path) -> tuple[Group, np.ndarray]:
    """The group, whose index has the column `mask_ratio`, and its masks, boolean (N, side, side)."""
    group, masks = read_group(folder), read_array(folder / MASKS)
    if len(masks) != len(group.index) or masks.dtype != bool:
        raise UserError(f"{folder}: {MASKS} is {masks.dtype} {masks.shape} for {len(group.index)} rows: run its stage again")
    return group, masks


def is_masked(folder: Path) -> bool:
    return (folder / MASKS).exists()


def read_descent(folder: Path) -> Descent:
    rows, images = read_csv(folder / PATH_ROWS), read_array(folder / PATH_IMAGES)
    if len(rows) != len(images):
        raise UserError(f"{folder}: {len(rows)} rows in {PATH_ROWS}, {len(images)} images in {PATH_IMAGES}: run its stage again")
    return Descent(images=images, rows=rows)


def new_images(folder: Path | None, count: int, size: int) -> np.ndarray:
    """An array for the images of a group, which `write_group` gets."""
    return new_array(folder and folder / IMAGES, (count, size, size, 3), np.uint8)


def new_array(path: Path | None, shape: tuple[int, ...], dtype: "np.typing.DTypeLike") -> np.ndarray:
    """An array to fill, in a temporary file that `write_array` renames to `path`. In memory without a path, and in a job of
    `relume.launch`, which writes no group."""
    if path is None or "RELUME_SHARDS" in os.environ:
        return np.empty(shape, dtype)
    temporary = part(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path)
        atexit.register(temporary.unlink, missing_ok=True)
        return mapped(temporary, shape, dtype)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise cannot_write(path, error) from error


def mapped(path: Path, shape: tuple[int, ...], dtype: "np.typing.DTypeLike") -> "np.memmap[Any, Any]":
    array: np.memmap[Any, Any] = np.lib.format.open_memmap(path, "w+", dtype, shape)
    if hasattr(os, "posix_fallocate"):  # a full disk is an error here, later a SIGBUS
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, array.offset + array.nbytes)
    return array


def write_array(path: Path, array: np.ndarray) -> None:
    with atomic(path) as temporary:
        if isinstance(array, np.memmap) and array.filename == temporary.resolve():  # of `new_array`
            array.flush()
            return
        with temporary.open("wb") as file:
            np.save(file, np.ascontiguousarray(array), allow_pickle=False)


def read_array(path: Path) -> np.ndarray:
    """Memory-mapped."""
    try:
        found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): run its stage again") from None
    return found


def visible(original: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """The input of a masked method, for display: uint8 (H, W, 3), hidden (side, side) -> uint8 (H, W, 3), grey where hidden."""
    return np.where(_pixels(hidden, original), np.uint8(GREY), original)


def pasted(original: np.ndarray, predicted: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """The prediction where the image is hidden, the original elsewhere: uint8 (H, W, 3)."""
    return np.where(_pixels(hidden, original), predicted, original)


def _pixels(hidden: np.ndarray, image: np.ndarray) -> np.ndarray:
    """(side, side) -> (H, W, 1)."""
    cell = len(image) // len(hidden)
    return hidden.repeat(cell, 0).repeat(cell, 1)[..., None]
