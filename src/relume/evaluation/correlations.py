"""Spearman's rank correlations between metrics, over images and over methods; 1: the same ranking, with signs such that more is
better. A metric is left out for methods that used its network or that it does not apply to. Intervals resample sources."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from relume.evaluation.evidence import Cell
from relume.evaluation.metrics import METRICS, Metric, circular
from relume.evaluation.statistics import BLOCK, expanded_tail

CORRELATIONS = ("metric_a", "metric_b", "level", "n", "spearman", "lo", "hi", "task", "dataset", "size", "sources")
DRAWS = 1000  # of the bootstrap
LEAST = 3  # minimum of images or methods
PLACE = ("task", "dataset", "size")


def spearman(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Rank correlations between the columns of (N, M), rows weighted by (R, N): (R, M, M). Ties share their mean
    rank; NaN for a constant column."""
    ranks = np.stack([_mean_ranks(column, weights) for column in values.T], 1)  # (R, M, N)
    total = weights.sum(1)[:, None, None]
    apart = ranks - (ranks * weights[:, None]).sum(2, keepdims=True) / total
    covariance = (apart * weights[:, None]) @ apart.transpose(0, 2, 1)
    return _normalised(covariance)


def _mean_ranks(column: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(N,), (R, N) -> (R, N), up to a constant."""
    _, first, which = np.unique(column, return_index=True, return_inverse=True)
    order = np.argsort(which, kind="stable")
    starts = np.searchsorted(which[order], np.arange(len(first)))
    counts = np.add.reduceat(weights[:, order], starts, axis=1)  # (R, values there are)
    return (counts.cumsum(1) - counts / 2)[:, which]


def _normalised(covariance: np.ndarray) -> np.ndarray:
    length = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: np.ndarray = np.clip(covariance / (length[:, :, None] * length[:, None]), -1, 1)
    return found


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Images of several methods: values (N, M), more is better, NaN if not applicable; their methods and sources."""

    values: np.ndarray
    method: np.ndarray  # (N,) integers
    source: np.ndarray  # (N,) integers


def pool(cells: Sequence[Cell], metrics: Sequence[Metric]) -> Pool:
    """All images of these cells, concatenated."""
    names = {name: number for number, name in enumerate(sorted({source for cell in cells for source in cell.sources}))}
    return Pool(
        values=np.concatenate([np.stack([_column(cell, metric) for metric in metrics], 1) for cell in cells]),
        method=np.concatenate([np.full(len(cell.ids), number) for number, cell in enumerate(cells)]),
        source=np.concatenate([[names[source] for source in cell.sources] for cell in cells]).astype(int),
    )


def _column(cell: Cell, metric: Metric) -> np.ndarray:
    if not cell.applies(metric.name) or circular(metric, "+".join([cell["network"], *cell.seen])):
        return np.full(len(cell.ids), np.nan)
    return cell.values[metric.name] * (1 if metric.better == "higher" else -1)


def of_methods(part: Pool, weights: np.ndarray) -> np.ndarray:
    """Rank correlations between the methods' means, for weights (R, N) of the images: (R, M, M)."""
    mine = np.eye(part.method.max() + 1)[:, np.unique(part.method)][part.method]  # (N, K), one-hot methods
    means = np.einsum("rn,nk,nm->rkm", weights, mine, part.values, optimize=True) / (weights @ mine)[:, :, None]
    apart = np.sign(means[:, :, None] - means[:, None]).sum(2)  # twice the ranks, centred
    return _normalised(apart.transpose(0, 2, 1) @ apart)


def correlations(
    cells: Sequence[Cell], views: Sequence[Metric], *, seed: int, level: float, draws: int = DRAWS
) -> list[dict[str, object]]:
    """Rows of CORRELATIONS for every task, dataset and size, without masked methods, which have other metrics."""
    metrics = [*METRICS.values(), *views]
    places = dict.fromkeys(tuple(cell[key] for key in PLACE) for cell in cells if cell["task"] != "masked")
    rows: list[dict[str, object]] = []
    for place in places:
        mine = [cell for cell in cells if tuple(cell[key] for key in PLACE) == place]
        keys = dict(zip(PLACE, place, strict=True))
        rows += [{**row, **keys} for row in _of_place(pool(mine, metrics), metrics, seed=seed, level=level, draws=draws)]
    return rows


def _of_place(everything: Pool, metrics: Sequence[Metric], *, seed: int, level: float, draws: int) -> Iterator[dict[str, object]]:
    """Pairs of metrics with the same images share the resamples."""
    finite = np.isfinite(everything.values)
    together: dict[bytes, list[tuple[int, int]]] = {}
    for a, b in itertools.combinations(range(len(metrics)), 2):
        together.setdefault((finite[:, a] & finite[:, b]).tobytes(), []).append((a, b))
    for pairs in together.values():
        rows = finite[:, pairs[0][0]] & finite[:, pairs[0][1]]
        columns = sorted({number for pair in pairs for number in pair})
        values = everything.values[np.ix_(rows, columns)]
        part = Pool(values=values, method=everything.method[rows], source=everything.source[rows])
        for which in ("picture", "method"):
            table = _intervals(part, which, seed=seed, level=level, draws=draws)
            for a, b in pairs if table else ():
                at = columns.index(a), columns.index(b)
                cells = {key: float(value[at]) if isinstance(value, np.ndarray) else value for key, value in table.items()}
                yield {"metric_a": metrics[a].name, "metric_b": metrics[b].name, "level": which, **cells}


def _intervals(part: Pool, which: str, *, seed: int, level: float, draws: int) -> Mapping[str, object]:
    """Correlations and their bounds as (M, M), n and sources; empty for fewer than LEAST, no bounds for fewer sources."""
    measure = partial(spearman, part.values) if which == "picture" else partial(of_methods, part)
    count = len(part.source) if which == "picture" else len(np.unique(part.method))
    names, own = np.unique(part.source, return_inverse=True)
    if count < LEAST:
        return {}
    whole = measure(np.ones((1, len(own))))[0]
    found: dict[str, object] = {"n": count, "sources": len(names), "spearman": whole}
    if len(names) < LEAST:
        return found
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)[:, own]
    step = max(1, BLOCK // part.values.size)
    parts = [measure(drawn[at : at + step].astype(float)) for at in range(0, draws, step)]
    tail = expanded_tail(len(names), level)
    lo, hi = np.quantile(np.nan_to_num(np.concatenate(parts)), [tail, 1 - tail], axis=0)  # constant columns: no correlation
    return {**found, "lo": np.where(np.isnan(whole), np.nan, lo), "hi": np.where(np.isnan(whole), np.nan, hi)}
