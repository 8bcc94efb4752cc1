"""Linear probes and weighted nearest neighbours on frozen features, with pixels and chance as baselines: top-1 accuracies."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from relume.core.images import resize
from relume.data.store import Dataset, batches
from relume.evaluation.config import PROBE_BASELINES, SPLITS, Probe

PROBE = ("method", "dataset", "n", "classes", "probe_top1", "knn_top1")
SIDE = 32  # px: larger images are downscaled for the baseline `pixels`
ROUNDS = 300  # of L-BFGS, at most
CHUNK = 512  # test images per block of the neighbour search

Reader = Callable[[list[int]], np.ndarray]  # rows of a dataset -> features, (N, D)


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Labelled images of one split."""

    rows: list[int]  # of the dataset
    labels: np.ndarray  # text, (N,)


def table(dataset: Dataset, readers: Mapping[str, Reader], config: Probe) -> list[dict[str, Any]]:
    """A row for each baseline, then for each reader; empty rows if the splits have no classes in common."""
    if not readers:
        return []
    splits = labelled(dataset, config)
    if splits is None:
        return [{"method": name, "dataset": dataset.name} for name in (*PROBE_BASELINES, *readers)]
    counts = {"n": len(splits["test"].rows), "classes": len(np.unique(splits["train"].labels))}
    every: dict[str, Reader] = {"pixels": partial(pixels, dataset), **readers}
    scores = {"chance": chance(splits)} | {name: score(read, splits, config) for name, read in every.items()}
    return [{"method": name, "dataset": dataset.name, **counts, **reached} for name, reached in scores.items()]


def labelled(dataset: Dataset, config: Probe) -> dict[str, Labelled] | None:
    """The images of each split with a class of `train`. None: fewer than two classes, or a split without such images."""
    chosen = {split: dataset.select(split, getattr(config, split)) for split in SPLITS}
    known = {dataset.index[row]["label"] for row in chosen["train"]} - {""}
    found = {}
    for split, rows in chosen.items():
        kept = [row for row in rows if dataset.index[row]["label"] in known]
        found[split] = Labelled(rows=kept, labels=np.array([dataset.index[row]["label"] for row in kept]))
    return found if len(known) > 1 and all(part.rows for part in found.values()) else None


def score(read: Reader, splits: Mapping[str, Labelled], config: Probe) -> dict[str, float]:
    """Reads the features of every split once."""
    train, val, test = (splits[split] for split in SPLITS)
    a, b, c = standardised(read(train.rows), read(val.rows), read(test.rows))
    linear = linear_top1((a, train.labels), (b, val.labels), (c, test.labels), config.penalties)
    near = neighbours((a, train.labels), c, count=config.neighbours, temperature=config.temperature)
    return {"probe_top1": linear, "knn_top1": float((near == test.labels).mean())}


def chance(splits: Mapping[str, Labelled]) -> dict[str, float]:
    """Accuracy of the most frequent training class; for ties, the first by name."""
    names, counts = np.unique(splits["train"].labels, return_counts=True)
    right = float((splits["test"].labels == names[counts.argmax()]).mean())
    return {"probe_top1": right, "knn_top1": right}


def pixels(dataset: Dataset, rows: list[int]) -> np.ndarray:
    """The pixels, at most SIDE px per side: (N, 3 side side)."""
    side = min(SIDE, dataset.size)
    parts = [resize(dataset.pixels(part), side).flatten(1) for part in batches(rows, CHUNK)]
    return torch.cat(parts).numpy()


def standardised(train: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """Standardised by mean and std of the training features; constant ones become 0. (N, D) float64."""
    mean, deviation = train.mean(0, dtype=np.float64), train.std(0, dtype=np.float64)
    moves = deviation > 1e-8 * np.maximum(1e-8, np.abs(mean))
    scale = np.where(moves, 1 / np.where(moves, deviation, 1), 0)
    return [(part - mean) * scale for part in (train, *others)]


Sample = tuple[np.ndarray, np.ndarray]  # features (N, D), labels (N,)


def linear_top1(train: Sample, val: Sample, test: Sample, penalties: Sequence[float]) -> float:
    """Multinomial logistic regression: mean cross-entropy + penalty / 2 ||W||^2. The penalty is selected on `val`; for
    ties, the strongest."""
    best, reached = None, -1.0
    for penalty in sorted(penalties, reverse=True):
        fitted = _fit(*train, penalty)
        if (found := float((fitted.predict(val[0]) == val[1]).mean())) > reached:
            best, reached = fitted, found
    assert best is not None
    return float((best.predict(test[0]) == test[1]).mean())


def _fit(features: np.ndarray, labels: np.ndarray, penalty: float) -> Any:
    """A fit that has not converged after ROUNDS is early stopping, and is evaluated on `val` like any other."""
    from sklearn.exceptions import ConvergenceWarning  # imported here: it takes seconds
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1 / (penalty * len(labels)), max_iter=ROUNDS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features, labels)


def neighbours(train: Sample, features: np.ndarray, *, count: int, temperature: float) -> np.ndarray:
    """Labels (N,): the `count` nearest by cosine vote with weight exp(cosine / temperature); for ties, the first by name."""
    names, classes = np.unique(train[1], return_inverse=True)
    here, ballot = F.normalize(torch.from_numpy(train[0])), F.one_hot(torch.from_numpy(classes), len(names)).double()
    found = []
    for at in range(0, len(features), CHUNK):
        cosine, places = (F.normalize(torch.from_numpy(features[at : at + CHUNK])) @ here.T).topk(min(count, len(here)))
        weight = ((cosine - 1) / temperature).exp()  # at most 1: no overflow
        found.append((weight[..., None] * ballot[places]).sum(1).argmax(1))
    return names[torch.cat(found).numpy()]
