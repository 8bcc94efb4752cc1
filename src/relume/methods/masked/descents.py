"""Energies and images at every step of models that descend an energy. Nothing is compared with the original image."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from relume.core.errors import UserError
from relume.core.images import to_uint8
from relume.core.results import Descent
from relume.core.run import Run
from relume.data.store import Dataset
from relume.methods.masked.config import ReconstructMasked
from relume.methods.masked.infer import Predictor, Scene, scenes

SHOWN = 8  # pictures whose steps are kept, at the first ratio


@dataclass(frozen=True, kw_only=True)
class Descents:
    trace: list[dict[str, object]]  # terms `energy@<ratio>`: means over pictures
    shown: Descent


def descents(
    predictors: Sequence[Predictor], dataset: Dataset, config: ReconstructMasked, run: Run, device: torch.device
) -> Descents | None:
    """Of the predictors that have a trajectory, on the pictures and masks that `reconstruct` gives to all; None without one."""
    ways = [_descents(one, scenes(dataset, config, run), device) for one in predictors if one.trajectory is not None]
    if not ways:
        return None
    images, rows = np.concatenate([way.shown.images for way in ways]), [row for way in ways for row in way.shown.rows]
    return Descents(trace=[row for way in ways for row in way.trace], shown=Descent(images=images, rows=rows))


def _descents(one: Predictor, met: Iterable[Scene], device: torch.device) -> Descents:
    """One predictor's: energies of all pictures, the steps of the first ones that it meets."""
    energies: dict[float, list[np.ndarray]] = {}
    pictures, rows, left = [], [], SHOWN
    for scene in met:
        kept = left if scene.ratio == next(iter(energies), scene.ratio) else 0
        way, steps = _follow(one, scene, device, kept)
        energies.setdefault(scene.ratio, []).append(way)
        pictures.append(steps.reshape(-1, *steps.shape[2:]))
        rows += [
            {"method": one.name, "id": scene.ids[at], "mask_ratio": scene.ratio, "step": step, "energy": float(energy)}
            for at, energies_of in enumerate(way[:, :kept].T)
            for step, energy in enumerate(energies_of)
        ]
        left = max(0, left - len(scene.ids))
    trace = [
        {"method": one.name, "step": step, "term": f"energy@{ratio:g}", "value": float(mean)}
        for ratio, ways in energies.items()
        for step, mean in enumerate(np.concatenate(ways, axis=1).mean(1))
    ]
    return Descents(trace=trace, shown=Descent(images=np.concatenate(pictures), rows=rows))


@torch.no_grad()
def _follow(one: Predictor, scene: Scene, device: torch.device, kept: int) -> tuple[np.ndarray, np.ndarray]:
    """Energies, float64 (T + 1, N), and the first pictures, uint8 (kept, T + 1, H, W, 3)."""
    assert one.trajectory is not None
    energies, pictures = [], []
    for energy, picture in one.trajectory(scene.images.to(device), scene.hidden.to(device)):
        energies.append(energy.double().cpu().numpy())
        pictures.append(to_uint8(picture[:kept]))
    if not np.isfinite(energies).all():
        raise UserError(f"masked model {one.name} has energies that are no numbers")
    return np.stack(energies), np.stack(pictures, axis=1)
