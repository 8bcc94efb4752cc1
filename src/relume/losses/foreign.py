"""Losses on embeddings by other networks: the distance of a reconstruction to the aggregate of m reconstructions (avg and ref). N
images, m reconstructions of each, D coordinates of an embedding."""

from collections.abc import Callable

import torch
from torch import Tensor

from relume.losses.feature import DISTANCES

VARIANCE_EPS = 0.1  # added to the relative variance: bounds the weight of a coordinate at 11 times the average one

Aggregate = Callable[[Tensor], tuple[Tensor, Tensor]]  # (N, m, D) -> centre (N, D), weights of the coordinates (N, D), mean 1
Sides = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def mean(values: Tensor) -> tuple[Tensor, Tensor]:
    return _uniform(values.mean(1))


def median(values: Tensor) -> tuple[Tensor, Tensor]:
    """Of each coordinate; the mean of the middle two if m is even."""
    return _uniform(_median(values))


def trimmed_mean(values: Tensor) -> tuple[Tensor, Tensor]:
    """Of each coordinate, without the floor(m / 4) lowest and highest values."""
    m = values.shape[1]
    return _uniform(values.sort(dim=1).values[:, m // 4 : m - m // 4].mean(1))


def cluster(values: Tensor) -> tuple[Tensor, Tensor]:
    """The centroid of the reconstruction with most neighbours (if equal, the closest) and its neighbours. Neighbours have at most
    the median of the pairwise distances."""
    m = values.shape[1]
    if m == 1:
        return mean(values)
    distances = torch.cdist(values, values, compute_mode="donot_use_mm_for_euclid_dist")  # (N, m, m), 0 on its diagonal
    i, j = torch.triu_indices(m, m, 1, device=values.device)
    near = distances <= _median(distances[:, i, j])[:, None, None]
    counts = near.sum(2)
    sums = distances.sum(2).masked_fill(counts < counts.amax(1, keepdim=True), torch.inf)
    members = near[torch.arange(len(values), device=values.device), sums.argmin(1)].to(values.dtype)  # (N, m)
    return _uniform((values * members[:, :, None]).sum(1) / members.sum(1, keepdim=True))


def agreement(values: Tensor) -> tuple[Tensor, Tensor]:
    """The mean, with weights 1 / (v + VARIANCE_EPS): v is the variance relative to its mean over coordinates. This is
    inverse-variance weighting. The weights are equal if the reconstructions are equal."""
    shifted = values - values[:, :1]  # exactly 0 if all are equal, despite rounding
    variance = shifted.var(dim=1, unbiased=False)
    relative = variance / variance.mean(1, keepdim=True).clamp_min(torch.finfo(variance.dtype).tiny)
    weight = 1 / (relative + VARIANCE_EPS)
    return values.mean(1), weight / weight.mean(1, keepdim=True)


AGGREGATES: dict[str, Aggregate] = {
    "mean": mean,
    "median": median,
    "trimmed_mean": trimmed_mean,
    "cluster": cluster,
    "agreement": agreement,
}


# ReLU policies: the embedding and the aggregate, (N, D) each
POLICIES: dict[str, Sides] = {
    "as_is": lambda values, centre: (values, centre),
    "no_relu": lambda values, centre: (values, centre),
    "relu_after": lambda values, centre: (values.relu(), centre.relu()),
    # only where the centre is not positive: elsewhere dead units have a gradient
    "smart": lambda values, centre: (torch.where(centre > 0, values, values.relu()), centre.relu()),
}


def foreign(distance: str, policy: str, aggregate: str, values: Tensor, others: Tensor) -> Tensor:
    """The distance of each reconstruction to the aggregate of `others`: (N, …), (N, m, …) -> (N,). `others` is detached."""
    centre, weight = AGGREGATES[aggregate](others.detach().flatten(2))
    x, y = POLICIES[policy](values.flatten(1), centre)
    root = weight.sqrt()
    return DISTANCES[distance](x * root, y * root)


def _uniform(centre: Tensor) -> tuple[Tensor, Tensor]:
    return centre, torch.ones_like(centre)


def _median(values: Tensor) -> Tensor:
    """The median along dimension 1; the mean of the middle two for even counts."""
    count = values.shape[1]
    return values.sort(dim=1).values[:, (count - 1) // 2 : count // 2 + 1].mean(1)
