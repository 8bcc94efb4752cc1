"""Distances between features, per sample: (N, …), (N, …) -> (N,). 0 for equal features; gradients are finite."""

from collections.abc import Callable

import torch
from torch import Tensor

EPS = 1e-8  # smaller squared norms count as zero


def mse(x: Tensor, y: Tensor) -> Tensor:
    """Squared distance, summed over all coordinates."""
    return (x - y).flatten(1).square().sum(1)


def dim_mse(x: Tensor, y: Tensor) -> Tensor:
    """Squared distance, mean over coordinates."""
    return (x - y).flatten(1).square().mean(1)


def relative_l2(x: Tensor, y: Tensor) -> Tensor:
    """||x - y||^2 / ||y||^2: comparable between layers (Mahendran & Vedaldi, arXiv 1412.0035)."""
    return mse(x, y) / y.flatten(1).square().sum(1).clamp_min(EPS)


def cosine(x: Tensor, y: Tensor) -> Tensor:
    """1 - cos(x, y). A zero feature has distance 1 to all others."""
    x, y = x.flatten(1), y.flatten(1)
    lengths = (x.square().sum(1) * y.square().sum(1)).clamp_min(EPS**2).sqrt()
    return 1 - (x * y).sum(1) / lengths


def batchnorm(discrepancies: Tensor) -> Tensor:
    """Mean over layers of the tap `batchnorm`: (N, L) -> (N,), 0 or more (DeepInversion: Yin et al., arXiv 1912.08795). The
    statistics are those of one image over its positions, so rows are independent. The paper sums over layers; the mean makes
    weights comparable between networks."""
    return discrepancies.mean(1)


DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": mse,
    "dim_mse": dim_mse,
    "relative_l2": relative_l2,
    "cosine": cosine,
}


def weighted(distance: str, values: dict[str, Tensor], targets: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """The weighted mean distance over taps: (N,)."""
    total = sum(weights.values())
    parts = [weight / total * DISTANCES[distance](values[tap], targets[tap]) for tap, weight in weights.items()]
    return torch.stack(parts).sum(0)
