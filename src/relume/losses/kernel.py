"""Kernel distances between two sets of embeddings: KID (Binkowski et al., arXiv 1801.01401) for validation, and MMD (Gretton et
al., JMLR 2012) as a loss."""

import torch
from torch import Tensor

WIDTHS = (0.2, 1.0, 5.0)  # of the heavy-tailed kernel: squared distances per coordinate


def kid(x: Tensor, y: Tensor) -> float:
    """The squared MMD of x (N, D) and y (M, D), N, M >= 2, under k(a, b) = (a·b / D + 1)^3; unbiased."""
    x, y = x.double(), y.double()
    return float(_mean_off_diagonal(x) + _mean_off_diagonal(y) - 2 * _kernel(x, y).mean())


def discrepancy(x: Tensor, y: Tensor) -> Tensor:
    """The contribution of each row of x (N, D) to the squared MMD: mean k(x_i, x_j) over j != i - 2 mean k(x_i, y_j): (N,). Their
    mean is the squared MMD without its constant term in y. k(a, b) is the mean over WIDTHS of (1 + |a - b|^2 / (D width))^-1/2,
    which bounds the gradient of outliers. Rows depend on each other."""
    own = _heavy_tailed(x, x)
    return (own.sum(1) - own.diagonal()) / (len(x) - 1) - 2 * _heavy_tailed(x, y).mean(1)


def _heavy_tailed(x: Tensor, y: Tensor) -> Tensor:
    """(N, D), (M, D) -> (N, M)."""
    squared = (x.square().mean(1)[:, None] + y.square().mean(1) - 2 * (x @ y.T) / x.shape[1]).clamp(min=0)
    return torch.stack([(1 + squared / width).rsqrt() for width in WIDTHS]).mean(0)


def _mean_off_diagonal(e: Tensor) -> Tensor:
    """mean k(e_i, e_j) over i != j."""
    k = _kernel(e, e)
    return (k.sum() - k.trace()) / (len(e) * (len(e) - 1))


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3
