"""Fills hidden parts of a dataset's images. All predictors get the same images and masks, with hidden pixels set to 0."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.core.images import to_uint8
from relume.core.results import Descent, Row, new_images
from relume.core.run import Run
from relume.data.config import Masks
from relume.data.masks import in_pixels, masks_of
from relume.data.store import Dataset, batches
from relume.methods.masked.config import ReconstructMasked
from relume.methods.masked.energy_transformer import EnergyTransformer
from relume.methods.masked.model import TrainedMasked


@dataclass(frozen=True, kw_only=True)
class Predictor:
    name: str
    family: str  # masked, or floor
    predict: Callable[[Tensor, Tensor], Tensor]  # (N, 3, H, W), hidden (N, side, side) -> (N, 3, H, W)
    trajectory: Callable[[Tensor, Tensor], Iterator[tuple[Tensor, Tensor]]] | None = (
        None  # the same inputs -> energy (N,) and image, per step
    )


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A batch of inputs."""

    ratio: float
    ids: list[str]
    images: Tensor  # (N, 3, H, W), 0 where hidden
    hidden: Tensor  # bool (N, side, side)


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A group's rows, ordered by method, ratio and image."""

    images: np.ndarray  # uint8 (rows, H, W, 3)
    masks: np.ndarray  # bool (rows, side, side)
    ratios: list[float]
    rows: list[Row]
    timing: list[dict[str, object]]


def predictors(models: Sequence[TrainedMasked], dataset: Dataset, config: ReconstructMasked) -> list[Predictor]:
    """The models as predictors. Raises UserError if a model has another image or cell size."""
    for model in models:
        if (model.size, model.cell) != (dataset.size, config.cell):
            needs = f"needs images of {model.size} px in cells of {model.cell} px"
            raise UserError(f"masked model {model.name} {needs}, got {dataset.size} and {config.cell}")
    trajectories = [model.module.trajectory if isinstance(model.module, EnergyTransformer) else None for model in models]
    return [
        Predictor(name=model.name, family="masked", predict=model.predict, trajectory=trajectory)
        for model, trajectory in zip(models, trajectories, strict=True)
    ]


def reconstruct(
    predictors: Sequence[Predictor],
    dataset: Dataset,
    config: ReconstructMasked,
    run: Run,
    device: torch.device,
    folder: Path | None = None,
) -> Filled:
    """One method per predictor, in their order. `folder`: of the group."""
    count = len(config.ratios) * len(dataset.select(config.split, config.count))
    pictures = new_images(folder, len(predictors) * count, dataset.size)
    outputs = dict(zip([one.name for one in predictors], np.split(pictures, len(predictors)), strict=True))
    seconds = dict.fromkeys(outputs, 0.0)
    masks, seen = list[np.ndarray](), list[tuple[float, str]]()
    for scene in scenes(dataset, config, run):
        masks.append(scene.hidden.numpy())
        at = len(seen)
        seen += [(scene.ratio, id) for id in scene.ids]
        images, hidden = scene.images.to(device), scene.hidden.to(device)
        for one in predictors:
            started = time.perf_counter()
            outputs[one.name][at : len(seen)] = to_uint8(one.predict(images, hidden))  # synchronises the device
            seconds[one.name] += time.perf_counter() - started
    same: dict[str, Any] = {"task": "masked", "oracle": False, "dataset": dataset.name}
    return Filled(
        images=pictures,
        masks=np.tile(np.concatenate(masks), (len(predictors), 1, 1)),
        ratios=[ratio for _ in predictors for ratio, _ in seen],
        rows=[Row(**same, method=one.name, family=one.family, id=id, size=dataset.size) for one in predictors for _, id in seen],
        timing=[{"method": name, "step": 0, "seconds": spent} for name, spent in seconds.items()],
    )


def scenes(dataset: Dataset, config: ReconstructMasked, run: Run) -> Iterator[Scene]:
    """All images to fill in, one ratio after the other, in micro-batches."""
    numbers, side = dataset.chosen(config), dataset.size // config.cell
    for ratio in config.ratios:
        masks = Masks(pattern=config.pattern, ratio=ratio, cell=config.cell)
        for part in batches(numbers, run.micro_batch):
            hidden = masks_of(dataset.ids(part), side, masks, run.seed)
            images = dataset.pixels(part).masked_fill(in_pixels(hidden, config.cell), 0.0)
            yield Scene(ratio=ratio, ids=dataset.ids(part), images=images, hidden=hidden)


SHOWN = 8  # images whose steps are saved, at the first ratio


@dataclass(frozen=True, kw_only=True)
class Descents:
    trace: list[dict[str, object]]  # terms `energy@<ratio>`: means over images
    shown: Descent


def descents(
    predictors: Sequence[Predictor], dataset: Dataset, config: ReconstructMasked, run: Run, device: torch.device
) -> Descents | None:
    """For predictors with a trajectory, on the images and masks of `reconstruct`; None without such predictors."""
    parts = [_descents(one, scenes(dataset, config, run), device) for one in predictors if one.trajectory is not None]
    if not parts:
        return None
    images, rows = np.concatenate([part.shown.images for part in parts]), [row for part in parts for row in part.shown.rows]
    return Descents(trace=[row for part in parts for row in part.trace], shown=Descent(images=images, rows=rows))


def _descents(one: Predictor, batches: Iterable[Scene], device: torch.device) -> Descents:
    """One predictor's energies for all images, and the steps of the first SHOWN."""
    energies: dict[float, list[np.ndarray]] = {}
    pictures, rows, remaining = [], [], SHOWN
    for scene in batches:
        kept = remaining if scene.ratio == next(iter(energies), scene.ratio) else 0
        energy_path, steps = _follow(one, scene, device, kept)
        energies.setdefault(scene.ratio, []).append(energy_path)
        pictures.append(steps.reshape(-1, *steps.shape[2:]))
        rows += [
            {"method": one.name, "id": scene.ids[at], "mask_ratio": scene.ratio, "step": step, "energy": float(energy)}
            for at, energies_of in enumerate(energy_path[:, :kept].T)
            for step, energy in enumerate(energies_of)
        ]
        remaining = max(0, remaining - len(scene.ids))
    trace = [
        {"method": one.name, "step": step, "term": f"energy@{ratio:g}", "value": float(mean)}
        for ratio, paths in energies.items()
        for step, mean in enumerate(np.concatenate(paths, axis=1).mean(1))
    ]
    return Descents(trace=trace, shown=Descent(images=np.concatenate(pictures), rows=rows))


@torch.no_grad()
def _follow(one: Predictor, scene: Scene, device: torch.device, kept: int) -> tuple[np.ndarray, np.ndarray]:
    """Energies, float64 (T + 1, N), and the steps of the first images, uint8 (kept, T + 1, H, W, 3)."""
    assert one.trajectory is not None
    energies, pictures = [], []
    for energy, picture in one.trajectory(scene.images.to(device), scene.hidden.to(device)):
        energies.append(energy.double().cpu().numpy())
        pictures.append(to_uint8(picture[:kept]))
    if not np.isfinite(energies).all():
        raise UserError(f"masked model {one.name}: an energy is NaN or Inf")
    return np.stack(energies), np.stack(pictures, axis=1)
