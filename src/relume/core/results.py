"""A group of reconstructions: pictures, an index row for each, and a trace in `data/reconstructions/<group>/`.

`metrics/runs/<group>/` holds what scoring must not depend on: `method.json` (how it was made) and `timing.csv`.

`path.npy` and `path.csv`: of methods that go to their picture step by step, the picture after some of the steps.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from relume.core.errors import UserError
from relume.core.files import atomic, read_csv, read_json, write_csv, write_json

KEYS = (
    "method",
    "family",
    "task",
    "oracle",
    "id",
    "dataset",
    "size",
    "network",
    "tap",
    "restart",
    "selected",
    "objective",
)
TRACE = (
    "method",
    "step",
    "term",
    "value",
)  # the mean over pictures; terms unweighted, `objective` is their weighted sum
TIMING = ("method", "step", "seconds")  # seconds since the method's start, over all its pictures together
METHOD_FILE, TIMING_FILE = "method.json", "timing.csv"
PATH_IMAGES, PATH_ROWS = "path.npy", "path.csv"
PATH = ("method", "id", "step")  # of the restart that is selected in the end
TASKS = ("feature", "image", "masked")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One picture of a group. `objective` is what the method itself minimised; floors have none."""

    method: str
    family: str
    task: str
    oracle: bool  # it has looked at the picture, not only at its features
    id: str
    dataset: str
    size: int
    network: str = ""
    tap: str = ""  # several taps are joined by +
    restart: int = 0
    selected: bool = True  # the restart that the objective chose; only these are ranked
    objective: float | None = None

    def __post_init__(self) -> None:
        if not self.family or self.task not in TASKS:
            raise ValueError(f"{self.method}: no family, or no such task: {self.family!r}, {self.task!r}")


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group as read back; `index` cells are text, as in the file."""

    name: str
    images: np.ndarray  # uint8 (N, H, W, 3), memory-mapped
    index: list[dict[str, str]]
    folder: Path

    @property
    def method(self) -> dict[str, Any]:
        described: dict[str, Any] = read_json(run_folder(self.folder) / METHOD_FILE)
        return described

    @property
    def timing(self) -> list[dict[str, str]]:
        return read_csv(run_folder(self.folder) / TIMING_FILE)


@dataclass(frozen=True, kw_only=True)
class Descent:
    """Pictures on their way: a row for each picture and step."""

    images: np.ndarray  # uint8 (rows, H, W, 3)
    rows: Sequence[Mapping[str, object]]  # PATH, masked ones STEPS; text when read back


def run_folder(folder: Path) -> Path:
    """Where a group's `method.json` and `timing.csv` lie: apart in the pipeline, with its other files elsewhere."""
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
    steps: Sequence[str] = PATH,
) -> None:
    """`method` holds `config`, `device` and the door's provenance. Equal inputs give equal bytes, `timing.csv` apart.

    `steps`: the columns of the descent's rows; without a descent its files have no rows.
    """
    way = Descent(images=images[:0], rows=[]) if descent is None else descent
    if images.dtype != np.uint8 or len(images) != len(rows):
        raise ValueError(f"{folder}: {images.dtype} {images.shape} for {len(rows)} rows")
    (folder / "index.csv").unlink(missing_ok=True)  # written last: without it the folder is no group
    for name, array in (("images.npy", images), (PATH_IMAGES, way.images)):
        with atomic(folder / name) as temporary, temporary.open("wb") as file:
            np.save(file, np.ascontiguousarray(array), allow_pickle=False)
    write_csv(folder / PATH_ROWS, steps, way.rows)
    write_csv(folder / "trace.csv", TRACE, trace)
    write_csv(run_folder(folder) / TIMING_FILE, TIMING, timing)
    write_json(run_folder(folder) / METHOD_FILE, dict(method))
    write_csv(folder / "index.csv", KEYS, [{key: getattr(row, key) for key in KEYS} for row in rows])


def read_group(folder: Path) -> Group:
    index = read_csv(folder / "index.csv")
    images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
    if len(index) != len(images):
        raise UserError(f"{folder}: {len(images)} pictures but {len(index)} rows in index.csv: run its stage again")
    return Group(name=folder.name, images=images, index=index, folder=folder)


def read_descent(folder: Path) -> Descent:
    rows, images = read_csv(folder / PATH_ROWS), read_array(folder / PATH_IMAGES)
    if len(rows) != len(images):
        raise UserError(
            f"{folder}: {len(images)} pictures in {PATH_IMAGES} but {len(rows)} rows in {PATH_ROWS}: run its stage again"
        )
    return Descent(images=images, rows=rows)


def read_array(path: Path) -> np.ndarray:
    """Memory-mapped."""
    try:
        found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): run its stage again") from None
    return found
