"""What foreign networks see in several reconstructions of a picture, taken together, is a target for each (S0's avg and ref).

N pictures, m reconstructions of each, D coordinates of an embedding.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from relume.losses.feature import DISTANCES

FLOOR = 0.1  # of relative variance: a coordinate on which all agree counts 11 times one of average variance, not infinitely more

Aggregate = Callable[[Tensor], tuple[Tensor, Tensor]]  # (N, m, D) -> centre (N, D), weights of the coordinates (N, D), mean 1
Sides = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def mean(values: Tensor) -> tuple[Tensor, Tensor]:
    return _evenly(values.mean(1))


def median(values: Tensor) -> tuple[Tensor, Tensor]:
    """Of each coordinate; the mean of the middle two where m is even."""
    return _evenly(_middle(values))


def trimmed_mean(values: Tensor) -> tuple[Tensor, Tensor]:
    """Of each coordinate, without its floor(m / 4) lowest and highest values."""
    m = values.shape[1]
    return _evenly(values.sort(dim=1).values[:, m // 4 : m - m // 4].mean(1))


def cluster(values: Tensor) -> tuple[Tensor, Tensor]:
    """The centroid of the largest cluster: of the reconstruction with most neighbours (among equals the closest) and of these.

    Neighbours are no further apart than the median of the picture's pairwise distances.
    """
    m = values.shape[1]
    if m == 1:
        return mean(values)
    distances = torch.cdist(values, values, compute_mode="donot_use_mm_for_euclid_dist")  # (N, m, m), 0 on its diagonal
    i, j = torch.triu_indices(m, m, 1, device=values.device)
    near = distances <= _middle(distances[:, i, j])[:, None, None]
    counts = near.sum(2)
    sums = distances.sum(2).masked_fill(counts < counts.amax(1, keepdim=True), torch.inf)
    members = near[torch.arange(len(values), device=values.device), sums.argmin(1)].to(values.dtype)  # (N, m)
    return _evenly((values * members[:, :, None]).sum(1) / members.sum(1, keepdim=True))


def agreement(values: Tensor) -> tuple[Tensor, Tensor]:
    """The mean; a coordinate weighs 1 / (v + FLOOR), v its variance over reconstructions against the mean one of all coordinates.

    This is how a weighted mean treats measurements of unequal noise. All weigh the same where reconstructions agree entirely.
    """
    shifted = values - values[:, :1]  # exactly 0 where all are equal, so that no rounding passes for disagreement
    variance = shifted.var(dim=1, unbiased=False)
    relative = variance / variance.mean(1, keepdim=True).clamp_min(torch.finfo(variance.dtype).tiny)
    weight = 1 / (relative + FLOOR)
    return values.mean(1), weight / weight.mean(1, keepdim=True)


AGGREGATES: dict[str, Aggregate] = {
    "mean": mean,
    "median": median,
    "trimmed_mean": trimmed_mean,
    "cluster": cluster,
    "agreement": agreement,
}


def _as_they_are(values: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
    return values, centre


def _relu_after(values: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
    return values.relu(), centre.relu()


def _smart(values: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
    """The ReLU only where the centre is not positive: elsewhere a dead unit still has a gradient."""
    return torch.where(centre > 0, values, values.relu()), centre.relu()


POLICIES: dict[str, Sides] = {"as_is": _as_they_are, "no_relu": _as_they_are, "relu_after": _relu_after, "smart": _smart}


def sides(policy: str, values: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
    """What is compared, (N, D) each: a reconstruction's embedding and the aggregated one, after what `policy` does to them."""
    return POLICIES[policy](values, centre)


def foreign(distance: str, policy: str, aggregate: str, values: Tensor, others: Tensor) -> Tensor:
    """The distance of each reconstruction from all taken together: (N, …), (N, m, …) -> (N,). `others` is a fixed target."""
    centre, weight = AGGREGATES[aggregate](others.detach().flatten(2))
    x, y = sides(policy, values.flatten(1), centre)
    root = weight.sqrt()
    return DISTANCES[distance](x * root, y * root)


def _evenly(centre: Tensor) -> tuple[Tensor, Tensor]:
    return centre, torch.ones_like(centre)


def _middle(values: Tensor) -> Tensor:
    """The median along dimension 1; the mean of the middle two where there are two."""
    count = values.shape[1]
    return values.sort(dim=1).values[:, (count - 1) // 2 : count // 2 + 1].mean(1)
