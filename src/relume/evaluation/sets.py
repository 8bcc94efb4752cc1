"""How far apart two sets of embeddings lie: the Frechet distance between Gaussians fitted to them, and KID.

The Frechet distance (Heusel et al. 2017) is biased upwards the smaller the sets are, and with fewer pictures than channels the
fitted covariance is singular: compare it at equal n only. KID (Binkowski et al. 2018) is unbiased at any n.
"""

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
        raise ValueError(f"(N, D) with N >= 2 is wanted, got {tuple(e.shape)}")
    e = e.double()
    apart = (e - e.mean(0)) / (len(e) - 1) ** 0.5
    return Gaussian(mean=e.mean(0), root=apart if len(e) <= e.shape[1] else torch.linalg.qr(apart, mode="r").R)


def frechet(a: Gaussian, b: Gaussian) -> float:
    """|m_a - m_b|^2 + tr(A + B - 2 (A B)^(1/2)) >= 0.

    With A = R^T R and B = S^T S the last trace is the sum of the singular values of R S^T: no root of a singular matrix is taken.
    """
    shared = torch.linalg.svdvals(a.root @ b.root.T).sum()
    squared = (a.mean - b.mean).square().sum() + a.root.square().sum() + b.root.square().sum() - 2 * shared
    return max(0.0, float(squared))


def kid(x: Tensor, y: Tensor, twins: Tensor | None = None) -> float:
    """The unbiased squared MMD between x (N, D) and y (M, D) under k(a, b) = (a·b / D + 1)^3; about 0 for equal distributions.

    mean k(x_i, x_j) + mean k(y_i, y_j) - 2 mean k(x_i, y_j), i != j in the first two. `twins` (T, 2): pairs of rows of x and y
    that show one and the same picture, left out of the last mean as i = j is of the others: else it would be biased.
    """
    everything = [torch.ones(len(e), 1, dtype=torch.bool, device=e.device) for e in (x, y)]
    return float(kids(x, y, everything[0], everything[1], twins)[0])


def kids(x: Tensor, y: Tensor, in_x: Tensor, in_y: Tensor, twins: Tensor | None = None) -> Tensor:
    """KID between R subsets of x and y: boolean (N, R) and (M, R) -> (R,). One pass over each kernel matrix serves all."""
    x, y, v, w = x.double(), y.double(), in_x.double(), in_y.double()
    between, pairs = _sums(x, y, v, w), v.sum(0) * w.sum(0)
    if twins is not None and len(twins):
        a, b = twins.T
        both = v[a] * w[b]
        between, pairs = between - (_kernel_of_pairs(x[a], y[b])[:, None] * both).sum(0), pairs - both.sum(0)
    return _within(x, v) + _within(y, w) - 2 * between / pairs


def _within(e: Tensor, chosen: Tensor) -> Tensor:
    """mean over i != j of k(e_i, e_j) among the chosen: (R,)."""
    n = chosen.sum(0)
    return (_sums(e, e, chosen, chosen) - (_kernel_of_pairs(e, e)[:, None] * chosen).sum(0)) / (n * (n - 1))


def _sums(x: Tensor, y: Tensor, v: Tensor, w: Tensor) -> Tensor:
    """sum_ij v_ir k(x_i, y_j) w_jr: (R,)."""
    parts = [(v[at : at + BLOCK] * (_kernel(x[at : at + BLOCK], y) @ w)).sum(0) for at in range(0, len(x), BLOCK)]
    return torch.stack(parts).sum(0)


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _kernel_of_pairs(x: Tensor, y: Tensor) -> Tensor:
    return ((x * y).sum(1) / x.shape[1] + 1) ** 3


def halves(strata: Sequence[Sequence[str]], draws: int, generator: torch.Generator) -> dict[str, Tensor]:
    """In which of the draws each source is: source -> boolean (draws,). Half of each stratum's sources, without replacement.

    Subsets of half the size spread as much around the whole as the whole does around the truth, (1/(n/2) - 1/n) s^2 = s^2/n:
    the quantiles of their KIDs are its interval. Drawing with replacement would put copies into the means over i != j.
    """
    found: dict[str, Tensor] = {}
    for sources in strata:
        order = torch.stack([torch.randperm(len(sources), generator=generator) for _ in range(draws)])  # (draws, S)
        taken = order < len(sources) // 2
        found |= {source: taken[:, number] for number, source in enumerate(sources)}
    return found
