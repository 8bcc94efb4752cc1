"""Filling hidden parts of a dataset's pictures: every predictor meets the same pictures and masks, and sees what is visible."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.core.images import to_uint8
from relume.core.results import Row
from relume.core.run import Run
from relume.data.masks import in_pixels, masks_of
from relume.data.masks_config import Masks
from relume.data.store import Dataset
from relume.methods.masked.config import ReconstructMasked
from relume.methods.masked.energy_transformer import EnergyTransformer
from relume.methods.masked.trained import TrainedMasked


@dataclass(frozen=True, kw_only=True)
class Predictor:
    name: str
    family: str  # masked, or floor
    predict: Callable[[Tensor, Tensor], Tensor]  # (N, 3, H, W), hidden (N, side, side) -> (N, 3, H, W)
    trajectory: Callable[[Tensor, Tensor], Iterator[tuple[Tensor, Tensor]]] | None = None  # likewise: energy (N,) and picture


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A batch as predictors meet it."""

    ratio: float
    ids: list[str]
    images: Tensor  # (N, 3, H, W), black where they are hidden
    hidden: Tensor  # bool (N, side, side)


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A group's rows: method by method, ratio by ratio, picture by picture."""

    images: np.ndarray  # uint8 (rows, H, W, 3)
    masks: np.ndarray  # bool (rows, side, side)
    ratios: list[float]
    rows: list[Row]
    timing: list[dict[str, object]]


def predictors(models: Sequence[TrainedMasked], dataset: Dataset, config: ReconstructMasked) -> list[Predictor]:
    """The models as predictors, if they fit what they are to predict."""
    for model in models:
        if (model.size, model.cell) != (dataset.size, config.cell):
            learned = f"has learned with {model.size} px in cells of {model.cell}"
            raise UserError(f"masked model {model.name} {learned}; here are {dataset.size} px in cells of {config.cell}")
    ways = [model.module.trajectory if isinstance(model.module, EnergyTransformer) else None for model in models]
    return [
        Predictor(name=model.name, family="masked", predict=model.predict, trajectory=way)
        for model, way in zip(models, ways, strict=True)
    ]


def reconstruct(
    predictors: Sequence[Predictor], dataset: Dataset, config: ReconstructMasked, run: Run, device: torch.device
) -> Filled:
    """One method per predictor, in their order. What is hidden is blanked before anyone looks."""
    made: dict[str, list[np.ndarray]] = {one.name: [] for one in predictors}
    seconds = dict.fromkeys(made, 0.0)
    masks, met = [], []
    for scene in scenes(dataset, config, run):
        masks.append(scene.hidden.numpy())
        met += [(scene.ratio, id) for id in scene.ids]
        here, there = scene.images.to(device), scene.hidden.to(device)
        for one in predictors:
            started = time.perf_counter()
            made[one.name].append(to_uint8(one.predict(here, there)))  # waits for the device
            seconds[one.name] += time.perf_counter() - started
    same: dict[str, Any] = {"task": "masked", "oracle": False, "dataset": dataset.name}
    return Filled(
        images=np.concatenate([batch for batches in made.values() for batch in batches]),
        masks=np.tile(np.concatenate(masks), (len(predictors), 1, 1)),
        ratios=[ratio for _ in predictors for ratio, _ in met],
        rows=[Row(**same, method=one.name, family=one.family, id=id, size=dataset.size) for one in predictors for _, id in met],
        timing=[{"method": name, "step": 0, "seconds": spent} for name, spent in seconds.items()],
    )


def scenes(dataset: Dataset, config: ReconstructMasked, run: Run) -> Iterator[Scene]:
    """All images to fill in, one ratio after the other, in micro-batches."""
    if dataset.name != config.dataset:
        raise UserError(f"pictures of {config.dataset} are wanted, but --images holds {dataset.name}")
    if dataset.size % config.cell or dataset.size < 2 * config.cell:
        raise UserError(f"reconstruct_masked: pictures of {dataset.size} px are not made of cells of {config.cell} px")
    numbers, side = dataset.select(config.split, config.count), dataset.size // config.cell
    for ratio in config.ratios:
        masks = Masks(pattern=config.pattern, ratio=ratio, cell=config.cell)
        for at in range(0, len(numbers), run.micro_batch):
            part = list(numbers[at : at + run.micro_batch])
            hidden = masks_of(dataset.ids(part), side, masks, run.seed)
            images = dataset.pixels(part).masked_fill(in_pixels(hidden, config.cell), 0.0)
            yield Scene(ratio=ratio, ids=dataset.ids(part), images=images, hidden=hidden)
