"""Baselines for the images that methods are scored on. No-information baselines use other images of the dataset; oracle baselines
use the image itself, as a mosaic of mean colours."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from relume.core.errors import UserError
from relume.core.images import to_float, to_uint8
from relume.core.results import Row, new_images
from relume.data.store import Dataset, batches
from relume.evaluation.config import OWN_MEAN, Floors

CHUNK = 256  # images in memory at once; results do not depend on it


@dataclass(frozen=True, kw_only=True)
class Floor:
    name: str
    oracle: bool
    predict: Callable[[Tensor], Tensor]  # images -> predictions; no-information baselines use their number only


def blocks(images: Tensor, k: int) -> Tensor:
    """Each image as k x k blocks of mean colours, of equal size up to a pixel: (N, 3, H, W) -> (N, 3, H, W)."""
    if not 1 <= k <= min(images.shape[-2:]):
        raise UserError(f"floors.blocks: {k} blocks do not fit {min(images.shape[-2:])} pixels")
    rows, columns = (F.one_hot(torch.arange(side) * k // side, k).to(images) for side in images.shape[-2:])  # (H, k), (W, k)
    means = (rows / rows.sum(0)).T @ images @ (columns / columns.sum(0))  # (N, 3, k, k)
    return rows @ means @ columns.T


def mean_picture(dataset: Dataset, rows: list[int]) -> Tensor:
    """The exact mean image: (1, 3, H, W)."""
    total = np.zeros(dataset.images.shape[1:], np.uint64)
    for chunk in batches(rows, CHUNK):
        total += dataset.images[chunk].sum(0, dtype=np.uint64)
    return torch.from_numpy(total / (255 * len(rows))).float().permute(2, 0, 1)[None]


def known(dataset: Dataset, scored: str) -> list[int]:
    """Images for no-information baselines that are scored on another split: train, else val, else none."""
    there = {row["split"] for row in dataset.index} - {scored}
    split = next((split for split in ("train", "val") if split in there), None)
    return dataset.select(split) if split else []


def floors(dataset: Dataset, config: Floors) -> list[Floor]:
    """All baselines; no-information ones only if the dataset has other images than the scored ones."""
    found = []
    others = known(dataset, config.split)
    if others:
        mean = mean_picture(dataset, others)
        for name, image in (("floor_dataset_mean", blocks(mean, 1)), ("floor_mean_picture", mean)):
            found.append(Floor(name=name, oracle=False, predict=image[0].expand_as))
    for name, k in ((OWN_MEAN, 1), *((f"floor_blocks_{k}", k) for k in config.blocks)):
        found.append(Floor(name=name, oracle=True, predict=partial(blocks, k=k)))
    return found


def predict(
    dataset: Dataset, config: Floors, folder: Path | None = None
) -> tuple[np.ndarray, list[Row], list[dict[str, object]]]:
    """All baselines for the images of the section: images, index rows and timing of one group, in `folder`."""
    wanted = dataset.chosen(config)
    ids = dataset.ids(wanted)
    rows, timing = list[Row](), list[dict[str, object]]()
    made = floors(dataset, config)
    images = new_images(folder, len(made) * len(wanted), dataset.size)
    for floor, own in zip(made, np.split(images, len(made)), strict=True):
        start = time.perf_counter()
        for at, chunk in enumerate(batches(wanted, CHUNK)):
            own[at * CHUNK : at * CHUNK + len(chunk)] = to_uint8(floor.predict(to_float(dataset.images[chunk])))
        timing.append({"method": floor.name, "step": 0, "seconds": time.perf_counter() - start})
        same: dict[str, Any] = {"method": floor.name, "family": "floor", "task": "feature", "oracle": floor.oracle}
        rows += [Row(**same, id=id, dataset=dataset.name, size=dataset.size) for id in ids]
    return images, rows, timing
