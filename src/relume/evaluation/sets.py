"""Distances between two sets of embeddings. The Frechet distance (Heusel et al. 2017) is biased upwards for small sets: compare
it at equal n only. KID (Binkowski et al. 2018) is unbiased at any n."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 1024  # rows of the kernel matrix in memory at once


@dataclass(frozen=True, kw_only=True)
class Gaussian:
    """mean (D,), and root (K, D) with root^T root the covariance (over n - 1), K <= D."""

    mean: Tensor
    root: Tensor


def gaussian(e: Tensor) -> Gaussian:
    """Fitted to embeddings (N, D), N >= 2."""
    if e.ndim != 2 or len(e) < 2:
        raise ValueError(f"needs (N, D) with N >= 2, got {tuple(e.shape)}")
    e = e.double()
    apart = (e - e.mean(0)) / (len(e) - 1) ** 0.5
    return Gaussian(mean=e.mean(0), root=apart if len(e) <= e.shape[1] else torch.linalg.qr(apart, mode="r").R)


def frechet(a: Gaussian, b: Gaussian) -> float:
    """|m_a - m_b|^2 + tr(A + B - 2 (A B)^(1/2)) >= 0. With A = R^T R and B = S^T S the last trace is the sum of the singular
    values of R S^T, without a root of a singular matrix."""
    shared = torch.linalg.svdvals(a.root @ b.root.T).sum()
    squared = (a.mean - b.mean).square().sum() + a.root.square().sum() + b.root.square().sum() - 2 * shared
    return max(0.0, float(squared))


def kids(x: Tensor, y: Tensor, in_x: Tensor, in_y: Tensor, from_x: Tensor, from_y: Tensor) -> Tensor:
    """KID between R subsets of x (N, D) and y (M, D): boolean (N, R) and (M, R) -> (R,), the unbiased squared MMD under k(a, b) =
    (a·b / D + 1)^3: mean k(x_i, x_j) + mean k(y_i, y_j) - 2 mean k(x_i, y_j) over pairs of different sources, integers (N,) and
    (M,). Pairs of one source would bias it: crops of one photograph are similar. NaN for one source."""
    x, y, v, w = x.double(), y.double(), in_x.double(), in_y.double()
    within = _mean(x, x, v, v, from_x, from_x) + _mean(y, y, w, w, from_y, from_y)
    return within - 2 * _mean(x, y, v, w, from_x, from_y)


def _mean(x: Tensor, y: Tensor, v: Tensor, w: Tensor, from_x: Tensor, from_y: Tensor) -> Tensor:
    """mean of k(x_i, y_j) over the chosen pairs of different sources: (R,)."""
    total = torch.zeros_like(v[0])
    for at in range(0, len(x), BLOCK):
        part = slice(at, at + BLOCK)
        k = (x[part] @ y.T / x.shape[1] + 1) ** 3
        k.masked_fill_(from_x[part, None] == from_y, 0)
        total += (v[part] * (k @ w)).sum(0)
    by_source = torch.zeros(int(torch.cat([from_x, from_y]).max()) + 1, v.shape[1], dtype=v.dtype, device=v.device)
    same = (by_source.index_add(0, from_x, v) * by_source.index_add(0, from_y, w)).sum(0)
    return total / (v.sum(0) * w.sum(0) - same)


def halves(strata: Sequence[Sequence[str]], draws: int, generator: torch.Generator) -> dict[str, Tensor]:
    """source -> boolean (draws,), whether it is drawn. Half of each stratum's sources, without replacement: subsets of half the
    size vary around the whole as the whole around the truth, (1/(n/2) - 1/n) s^2 = s^2/n. With replacement, copies would be
    paired."""
    found: dict[str, Tensor] = {}
    for sources in strata:
        order = torch.stack([torch.randperm(len(sources), generator=generator) for _ in range(draws)])  # (draws, S)
        taken = order < len(sources) // 2
        found |= {source: taken[:, number] for number, source in enumerate(sources)}
    return found
