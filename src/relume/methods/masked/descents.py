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
