"""Checks that metrics order known degradations, and that images are best against themselves. An image against itself has the
metric's best value. Each strength of a degradation is worse than the one before, in the mean over images. The mean colour of an
image is nearer to it than any other colour, checked for squared errors only, where it is a theorem. Re-identification and classes
are discrete: for them only the weakest and strongest are compared, and may tie."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from relume.core.images import to_float, to_uint8
from relume.core.results import KEYS, Group
from relume.core.runtime import generator
from relume.data.store import Dataset
from relume.evaluation.config import LADDERS, SelfTest
from relume.evaluation.floors import blocks, known, mean_picture
from relume.evaluation.metrics import TOP1, TOP5, Metric, is_reid
from relume.evaluation.statistics import interval

COLUMNS = ("metric", "degradation", "strength", "mean", "lo", "hi", "ordered")
SAME, FLOOR = "none", "floor"  # x against x; 1: the image's mean colour, 2: the dataset's
SQUARED = ("mse", "psnr")
TOLERANCE = 1e-4  # of a best value
Scores = Mapping[tuple[str, float], Mapping[str, np.ndarray]]  # (degradation, strength) -> metric -> (N,)


def blur(x: Tensor, sigma: float) -> Tensor:
    """Gaussian of `sigma` pixels, truncated at 3 sigma, with reflection padding."""
    radius = min(int(np.ceil(3 * sigma)), min(x.shape[-2:]) - 1)
    at = torch.arange(-radius, radius + 1, dtype=x.dtype)
    weights = torch.exp(-at.square() / (2 * sigma**2))
    weights = (weights / weights.sum()).expand(3, 1, 1, -1)
    wide = F.pad(x, (radius,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(wide, weights, groups=3), weights.transpose(2, 3), groups=3)


def jpeg(x: Tensor, quality: float) -> Tensor:
    """Encoded as JPEG and decoded."""

    def again(pixels: np.ndarray) -> np.ndarray:
        file = BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=int(quality))
        return np.asarray(Image.open(file))

    return to_float(np.stack([again(pixels) for pixels in to_uint8(x)]))


def noisy(x: Tensor, deviation: float, ids: Sequence[str], seed: int) -> Tensor:
    """The same noise for an image at every strength."""
    noise = torch.stack([torch.randn(x.shape[1:], generator=generator(seed, f"self-test {id}")) for id in ids])
    return (x + deviation * noise).clamp(0, 1)


def spoilt(data: Dataset, rows: Sequence[int], config: SelfTest, seed: int) -> Iterator[tuple[str, float, Tensor]]:
    """(degradation, strength, images), from the images themselves to the baselines."""
    x, ids = data.pixels(list(rows)), data.ids(list(rows))
    yield SAME, 0, x
    degradations: dict[str, Callable[[Tensor, float], Tensor]] = {"blur": blur, "jpeg": jpeg}
    degradations["blocks"] = lambda pictures, side: blocks(pictures, max(1, pictures.shape[-1] // int(side)))
    degradations["noise"] = lambda pictures, deviation: noisy(pictures, deviation, ids, seed)
    for name in LADDERS:
        for strength in getattr(config, name):
            yield name, strength, degradations[name](x, strength)
    yield FLOOR, 1, blocks(x, 1)
    if others := known(data, data.index[rows[0]]["split"]):
        yield FLOOR, 2, blocks(mean_picture(data, others), 1).expand_as(x)


def as_group(data: Dataset, rows: Sequence[int], rungs: Sequence[tuple[str, float, Tensor]]) -> Group:
    """The degraded images as a group, to be scored by the same code as methods."""
    blank = dict.fromkeys(KEYS, "") | {"family": "floor", "task": "feature", "dataset": data.name, "size": str(data.size)}
    index = [{**blank, "method": f"{name} {strength:g}", "id": id} for name, strength, _ in rungs for id in data.ids(list(rows))]
    images = np.concatenate([to_uint8(pictures) for _, _, pictures in rungs])
    return Group(name="self_test", images=images, index=index, folder=Path("self_test"))


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Rows of COLUMNS, and a message per failure."""

    rows: list[dict[str, object]]
    faults: list[str]


def check_order(
    scores: Scores, metrics: Sequence[Metric], sources: Sequence[str], exceptions: Mapping[str, Sequence[str]], *, seed: int
) -> Verdict:
    """`scores`: from weak to strong; metrics with NaN are not checked."""
    rows: list[dict[str, object]] = []
    faults: list[str] = []
    for metric in metrics:
        if not all(np.isfinite(values[metric.name]).all() for values in scores.values()):
            continue
        means = {rung: float(values[metric.name].mean()) for rung, values in scores.items()}
        for (name, strength), values in scores.items():
            found = interval(values[metric.name], sources, seed=seed, resamples=1000)
            row = {"metric": metric.name, "degradation": name, "strength": strength, "mean": found.mean}
            rows.append({**row, "lo": found.lo, "hi": found.hi, "ordered": _ordered(metric, means, name, strength)})
        ladders = dict.fromkeys(name for name, _ in scores)
        faults += [fault for name in ladders if (fault := _fault(metric, means, name, exceptions))]
    return Verdict(rows=rows, faults=faults)


def _ordered(metric: Metric, means: Mapping[tuple[str, float], float], name: str, strength: float) -> bool | None:
    """Whether this strength is worse than the one before (for the first: than the image itself). None: not checked."""
    best = metric.high if metric.better == "higher" else metric.low
    if name == SAME:
        return best is not None and abs(means[SAME, 0] - best) <= TOLERANCE
    if name == FLOOR and metric.name not in SQUARED:
        return None
    rungs = [rung for rung in means if rung[0] == name]
    at = rungs.index((name, strength))
    before = means[rungs[at - 1] if at else (SAME, 0)]
    if metric.name in (TOP1, TOP5) or is_reid(metric.name):
        return not metric.improves(means[name, strength], before)
    return metric.improves(before, means[name, strength])


def _fault(
    metric: Metric, means: Mapping[tuple[str, float], float], name: str, exceptions: Mapping[str, Sequence[str]]
) -> str | None:
    rungs = [rung for rung in means if rung[0] == name]
    if name in exceptions.get(metric.name, ()) or (name == FLOOR and metric.name not in SQUARED):
        return None
    if metric.name in (TOP1, TOP5) or is_reid(metric.name):
        right = _ordered(metric, means, name, 0) if name == SAME else not metric.improves(means[rungs[-1]], means[rungs[0]])
    else:
        right = all(_ordered(metric, means, *rung) for rung in rungs)
    values = ", ".join(f"{strength:g}: {means[name, strength]:.4g}" for _, strength in rungs)
    what = "is not at its best for pictures against themselves" if name == SAME else f"does not order {name}"
    return None if right else f"{metric.name} {what} ({values})"
