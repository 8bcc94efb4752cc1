"""Metrics by networks that were not inverted: feature errors, CLIP's cosine, classes, re-identification. Each compares one
tap."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.core.errors import UserError
from relume.data.store import Dataset
from relume.evaluation.config import Evaluate, Place
from relume.evaluation.metrics import CLIP, REID_N, TOP1, is_reid
from relume.evaluation.perceptual import feature_error
from relume.networks.store import Features

Measure = Callable[[Tensor, Tensor, Sequence[int]], Tensor]


@dataclass(frozen=True, kw_only=True)
class View:
    """A metric by one tap. `measure`: features (N, …) of reconstructions and originals, and the originals' rows -> (N,)."""

    name: str
    network: str
    tap: str
    measure: Measure


MEASURES: dict[str, Measure] = {
    CLIP: lambda x, y, rows: F.cosine_similarity(x, y, dim=1),
    TOP1: lambda x, y, rows: (x.argmax(1) == y.argmax(1)).float(),
}


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """The candidates' features, centred and normalised, (C, D); `place`: row of the dataset -> candidate."""

    mean: Tensor
    units: Tensor
    place: Mapping[int, int]

    def rank(self, x: Tensor, y: Tensor, rows: Sequence[int]) -> Tensor:
        """1 + the number of other candidates at least as similar to x (N, …) as its original, by cosine: (N,)."""
        alike = F.normalize(x.flatten(1) - self.mean, dim=1) @ self.units.T  # (N, C)
        own = torch.tensor([self.place[row] for row in rows], device=x.device)[:, None]
        return (alike >= alike.gather(1, own)).sum(1).float()


def gallery(features: Tensor, rows: Sequence[int]) -> Gallery:
    """The gallery of features (C, …) of these rows of a dataset."""
    flat = features.flatten(1).float()
    mean = flat.mean(0)
    return Gallery(mean=mean, units=F.normalize(flat - mean, dim=1), place={row: at for at, row in enumerate(rows)})


def candidates(data: Dataset, scored: Sequence[int], count: int | None) -> list[int]:
    """Rows outside the training split: all `scored` ones, and others up to `count` in total."""
    others = [number for number, row in enumerate(data.index) if row["split"] != "train" and number not in set(scored)]
    room = len(others) if count is None else max(0, count - len(scored))
    found = sorted([*scored, *others[:room]])
    if len(found) < 2:
        raise UserError(f"evaluate.reid: dataset {data.name} has {len(found)} image outside its training split, needs at least 2")
    return found


Look = Callable[[Place, Sequence[int]], Tensor]  # the features (N, …) of these rows of the dataset


def open_views(
    config: Evaluate, data: Dataset, scored: Sequence[int], *, look: Look, scales: Mapping[Place, Mapping[str, float]]
) -> list[View]:
    """The views of the section, for a dataset with reconstructions of its `scored` rows. REID_N: the number of candidates."""
    rows = candidates(data, scored, config.reid.candidates) if config.reid else []

    def measure(name: str, place: Place) -> Measure:
        if is_reid(name):
            return gallery(look(place, rows), rows).rank
        return MEASURES[name] if name in MEASURES else _error(place[1], scales[place])

    asked = [(metric.name, place, measure(metric.name, place)) for metric, place in config.views]
    if config.reid:
        asked.append((REID_N, config.reid.networks[0], lambda x, y, numbers: torch.full((len(x),), float(len(rows)))))
    return [View(name=name, network=network, tap=tap, measure=measured) for name, (network, tap), measured in asked]


def cached(folder: Path | None, place: Place, rows: Sequence[int]) -> Tensor | None:
    """Features of these rows, if `extract` has saved them."""
    network, tap = place
    if folder is None or not (folder / network).is_dir():
        return None
    values = Features.open(folder / network).of(tap, rows)
    return None if values is None else torch.from_numpy(values).float()


def _error(tap: str, scale: Mapping[str, float]) -> Measure:
    return lambda x, y, rows: feature_error({tap: x}, {tap: y}, scale)
