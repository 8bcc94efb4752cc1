"""Embeddings as clouds of points: what the last ReLU does to their values, and how reconstructions lie around the truth.

The second is what multi-objective inversion rests on: if the embeddings of several reconstructions scatter around that of
the picture, their mean is a better guess of it than any of them. With r_1 … r_m the reconstructions' embeddings, r their mean
and t the truth, mean |r_k - t|^2 = |r - t|^2 + mean |r_k - r|^2: bias and scatter. Averaging removes scatter only.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.evaluation.statistics import interval

Values = dict[str, Tensor]  # name -> one value per picture


def statistics(e: Tensor) -> Values:
    """Statistics of embeddings (N, C), N >= 2, per picture (N,): of their values, and of the distance to the other pictures.

    `cosine` is the mean over the other pictures; `excess_kurtosis` is m4 / m2^2 - 3, 0 for equal values.
    """
    if e.ndim != 2 or len(e) < 2:
        raise ValueError(f"(N, C) with N >= 2 is wanted, got {tuple(e.shape)}")
    e = e.double()
    mean = e.mean(1)
    apart = e - mean[:, None]
    variance = apart.square().mean(1)
    peaked = apart.pow(4).mean(1) / variance.square()
    units = F.normalize(e, dim=1)
    alike = units @ units.T
    return {
        "negative_share": (e < 0).double().mean(1),
        "zero_share": (e == 0).double().mean(1),
        "mean": mean,
        "sd": variance.sqrt(),
        "excess_kurtosis": torch.where(variance > 0, peaked - 3, 0.0),
        "norm": e.norm(dim=1),
        "cosine": (alike.sum(1) - alike.diagonal()) / (len(e) - 1),
    }


def relative_l2(a: Tensor, b: Tensor, truth: Tensor) -> Tensor:
    """|a - b| / |truth| over the last axis."""
    return (a - b).norm(dim=-1) / truth.norm(dim=-1).clamp_min(1e-12)


def cosine(a: Tensor, b: Tensor, truth: Tensor) -> Tensor:
    """1 - cos(a, b) over the last axis; `truth` is not used."""
    return 1 - F.cosine_similarity(a, b, dim=-1, eps=1e-12)


DISTANCES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"relative_l2": relative_l2, "cosine": cosine}


def scatter(restarts: Tensor, truth: Tensor) -> dict[str, Values]:
    """Reconstructions' embeddings (N, m, C), m >= 2, around the true ones (N, C), N >= 2: distance -> what -> (N,).

    `one`: a reconstruction to the truth, `mean`: the mean of all m to the truth, `spread`: a reconstruction to the mean,
    `other`: the truth to other pictures' truths, which is the scale of it all. Only for `relative_l2`, `unbiased`: as far
    as the mean would be (root mean square) if the m were independent draws around the truth, sqrt(sum |r_k - r|^2 / m (m - 1)).
    """
    n, m, c = restarts.shape
    if truth.shape != (n, c) or m < 2 or n < 2:
        raise ValueError(f"(N, m, C) and (N, C), two of each, are wanted; got {tuple(restarts.shape)} and {tuple(truth.shape)}")
    r, t = restarts.double(), truth.double()
    mean, t_ = r.mean(1), t[:, None]
    found: dict[str, Values] = {}
    for name, distance in DISTANCES.items():
        others = distance(t_, t[None], t_)  # (N, N), 0 on the diagonal
        found[name] = {
            "one": distance(r, t_, t_).mean(1),
            "mean": distance(mean, t, t),
            "spread": distance(r, mean[:, None], t_).mean(1),
            "other": (others.sum(1) - others.diagonal()) / (n - 1),
        }
    squares = relative_l2(r, mean[:, None], t_).square().sum(1)
    found["relative_l2"]["unbiased"] = (squares / (m * (m - 1))).sqrt()
    return found


def project(points: Tensor) -> Tensor:
    """(N, C) -> (N, 2): coordinates along the first two principal directions; zeros if there is only one."""
    centred = points.double() - points.double().mean(0)
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    plane = (u * s)[:, :2]
    return F.pad(plane, (0, 2 - plane.shape[1]))


def same_trunk(a: str, b: str) -> bool:
    """Whether two names mean the same network; a part of a network counts as that network."""
    return a.removesuffix("_conv") == b.removesuffix("_conv")


def compared(
    labels: Mapping[str, object], a: Tensor, b: Tensor, sources: Sequence[str], *, seed: int, proves: bool = True
) -> dict[str, object]:
    """A row of comparisons.csv: paired bootstrap over sources, without an interval for a circular comparison."""
    found = interval(a.double().numpy() - b.double().numpy(), sources, seed=seed, resamples=5000, level=0.95)
    return {
        **labels,
        "n": found.n,
        "sources": found.sources,
        "mean_a": float(a.mean()),
        "mean_b": float(b.mean()),
        "diff": found.mean,
        "lo": found.lo if proves else None,
        "hi": found.hi if proves else None,
    }
