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
from relume.evaluation.metrics import CLIP, FAR, MATCH, REID, REID_N, REID_PAIRS, TOP1, TOP5
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
    TOP5: lambda x, y, rows: (x.topk(min(5, x.shape[1])).indices == y.argmax(1, keepdim=True)).any(1).float(),
}
MOST = 2000  # candidates whose pairs set the threshold


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """The candidates' features, centred and normalised, (C, D); `place`: row of the dataset -> candidate."""

    mean: Tensor
    units: Tensor
    place: Mapping[int, int]
    pairs: int  # of candidates from different sources
    threshold: float  # a cosine that at most FAR of these pairs pass; NaN for fewer than 1 / FAR pairs

    def rank(self, x: Tensor, rows: Sequence[int]) -> Tensor:
        """1 + the number of other candidates at least as similar to x (N, …) as its original, by cosine: (N,)."""
        cosines, own = self._cosines(x, rows)
        return (cosines >= own).sum(1).float()

    def match(self, x: Tensor, rows: Sequence[int]) -> Tensor:
        """1 where the cosine of x (N, …) and its original is above the threshold, else 0: (N,)."""
        passed = (self._cosines(x, rows)[1][:, 0] > self.threshold).float()
        return passed if self.threshold == self.threshold else torch.full_like(passed, float("nan"))

    def _cosines(self, x: Tensor, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Cosines to all candidates (N, C), and to the originals (N, 1)."""
        cosines = F.normalize(x.flatten(1) - self.mean, dim=1) @ self.units.T
        return cosines, cosines.gather(1, torch.tensor([self.place[row] for row in rows], device=x.device)[:, None])


def gallery(features: Tensor, rows: Sequence[int], sources: Sequence[str]) -> Gallery:
    """The gallery of features (C, …) of these rows of a dataset, with the sources of the images."""
    flat = features.flatten(1).float()
    mean = flat.mean(0)
    units = F.normalize(flat - mean, dim=1)
    which = torch.tensor([sources.index(source) for source in sources[:MOST]], device=units.device)
    unrelated = (which[:, None] != which).triu(1)
    cosines = (units[:MOST] @ units[:MOST].T)[unrelated].sort(descending=True).values
    above = int(FAR * len(cosines))  # so many pairs may pass
    threshold, place = float(cosines[above]) if above else float("nan"), {row: at for at, row in enumerate(rows)}
    return Gallery(mean=mean, units=units, place=place, pairs=len(cosines), threshold=threshold)


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
    """Views of the section, for a dataset with reconstructions of its `scored` rows. REID_N, REID_PAIRS: counts of candidates and
    of their pairs."""
    rows = candidates(data, scored, config.reid.candidates) if config.reid else []
    sources = [data.index[row]["source"] for row in rows]
    galleries = {place: gallery(look(place, rows), rows, sources) for place in (config.reid.networks if config.reid else ())}

    def measure(name: str, place: Place) -> Measure:
        if name.startswith((REID, MATCH)):
            measured = galleries[place].rank if name.startswith(REID) else galleries[place].match
            return lambda x, y, rows: measured(x, rows)
        tap = place[1]
        return MEASURES.get(name) or (lambda x, y, rows: feature_error({tap: x}, {tap: y}, scales[place]))

    measures = [(metric.name, place, measure(metric.name, place)) for metric, place in config.views]
    for place, found in list(galleries.items())[:1]:
        measures += [(REID_N, place, _count(len(rows))), (REID_PAIRS, place, _count(found.pairs))]
    return [View(name=name, network=network, tap=tap, measure=measured) for name, (network, tap), measured in measures]


def cached(folder: Path | None, place: Place, rows: Sequence[int]) -> Tensor | None:
    """Features of these rows, if `extract` has saved them."""
    network, tap = place
    if folder is None or not (folder / network).is_dir():
        return None
    values = Features.open(folder / network).of(tap, rows)
    return None if values is None else torch.from_numpy(values).float()


def _count(number: int) -> Measure:
    return lambda x, y, rows: torch.full((len(x),), float(number))
