"""Baselines for the images that methods are scored on. No-information baselines know other images of the dataset; oracle
baselines know the image itself, as a mosaic of mean colours."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from relume.core.errors import UserError
from relume.core.images import to_float, to_uint8
from relume.core.results import Row
from relume.data.store import Dataset
from relume.evaluation.config import OWN_MEAN, Floors

CHUNK = 256  # pictures in memory at once; no result depends on it


@dataclass(frozen=True, kw_only=True)
class Floor:
    name: str
    oracle: bool
    predict: Callable[[Tensor], Tensor]  # the pictures -> what stands for them; blind floors look at their number only


def blocks(images: Tensor, k: int) -> Tensor:
    """Each picture as k x k blocks of its mean colours, of equal size up to a pixel: (N, 3, H, W) -> (N, 3, H, W)."""
    rows, columns = (_membership(side, k, images) for side in images.shape[-2:])  # (H, k), (W, k)
    means = (rows / rows.sum(0)).T @ images @ (columns / columns.sum(0))  # (N, 3, k, k)
    return rows @ means @ columns.T


def _membership(side: int, k: int, like: Tensor) -> Tensor:
    """Which pixel lies in which block, as 0 and 1: (side, k)."""
    if not 1 <= k <= side:
        raise UserError(f"floors.blocks: {k} blocks do not fit {side} pixels")
    return F.one_hot(torch.arange(side) * k // side, k).to(like)


def mean_picture(dataset: Dataset, rows: list[int]) -> Tensor:
    """The mean of these pictures, pixel by pixel, exactly: (1, 3, H, W)."""
    total = np.zeros(dataset.images.shape[1:], np.uint64)
    for chunk in _chunks(rows):
        total += dataset.images[chunk].sum(0, dtype=np.uint64)
    return torch.from_numpy(total / (255 * len(rows))).float().permute(2, 0, 1)[None]


def known(dataset: Dataset, scored: str) -> list[int]:
    """Pictures that a blind floor may look at when it is scored on another split: train, else val, else none."""
    there = {row["split"] for row in dataset.index} - {scored}
    split = next((split for split in ("train", "val") if split in there), None)
    return dataset.select(split) if split else []


def floors(dataset: Dataset, config: Floors) -> list[Floor]:
    """A dataset that has no pictures but those to be predicted has no blind floors."""
    found = []
    others = known(dataset, config.split)
    if others:
        mean = mean_picture(dataset, others)
        found.append(Floor(name="floor_dataset_mean", oracle=False, predict=_constant(blocks(mean, 1))))
        found.append(Floor(name="floor_mean_picture", oracle=False, predict=_constant(mean)))
    found.append(Floor(name=OWN_MEAN, oracle=True, predict=_mosaic(1)))
    found += [Floor(name=f"floor_blocks_{k}", oracle=True, predict=_mosaic(k)) for k in config.blocks]
    return found


def _constant(picture: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda images: picture.expand(len(images), -1, -1, -1)


def _mosaic(k: int) -> Callable[[Tensor], Tensor]:
    return lambda images: blocks(images, k)


def predict(dataset: Dataset, config: Floors) -> tuple[np.ndarray, list[Row], list[dict[str, object]]]:
    """All floors for the pictures that the section names: images, index rows and timing of one group."""
    if dataset.name != config.dataset:
        raise UserError(f"floors.dataset is {config.dataset}, but --images holds {dataset.name}")
    wanted = dataset.select(config.split, config.count)
    ids = dataset.ids(wanted)
    images, rows, timing = [], [], []
    for floor in floors(dataset, config):
        start = time.perf_counter()
        images += [to_uint8(floor.predict(to_float(dataset.images[chunk]))) for chunk in _chunks(wanted)]
        timing.append({"method": floor.name, "step": 0, "seconds": time.perf_counter() - start})
        rows += [_row(floor, id, dataset) for id in ids]
    return np.concatenate(images), rows, timing


def _row(floor: Floor, id: str, dataset: Dataset) -> Row:
    return Row(
        method=floor.name, family="floor", task="feature", oracle=floor.oracle, id=id, dataset=dataset.name, size=dataset.size
    )


def _chunks(rows: list[int]) -> Iterator[list[int]]:
    return (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK))
