"""How far apart two sets of embeddings are: as a training's validation asks (KID, Binkowski et al., arXiv 1801.01401), and as a
generator may learn by (MMD, Gretton et al., JMLR 2012).
"""

import torch
from torch import Tensor

WIDTHS = (0.2, 1.0, 5.0)  # squared distances per number at which the blunt kernel falls: near, at, and beyond a deviation


def kid(x: Tensor, y: Tensor) -> float:
    """The unbiased squared MMD of x (N, D) and y (M, D), N, M >= 2, under k(a, b) = (a·b / D + 1)^3; about 0 where they agree."""
    x, y = x.double(), y.double()
    return float(_apart(x) + _apart(y) - 2 * _kernel(x, y).mean())


def discrepancy(x: Tensor, y: Tensor) -> Tensor:
    """What each row of x (N, D) adds to the squared MMD: mean k(x_i, x_j) over j != i, less 2 mean k(x_i, y_j): (N,).

    In the mean, but for y's own share; least where x is drawn like y. k(a, b) is the mean of (1 + |a - b|^2 / (D width))^-1/2
    over WIDTHS: far outliers pull no harder. Here rows are compared with each other, on purpose.
    """
    own = _blunt(x, x)
    return (own.sum(1) - own.diagonal()) / (len(x) - 1) - 2 * _blunt(x, y).mean(1)


def _blunt(x: Tensor, y: Tensor) -> Tensor:
    """(N, D), (M, D) -> (N, M)."""
    apart = (x.square().mean(1)[:, None] + y.square().mean(1) - 2 * (x @ y.T) / x.shape[1]).clamp(min=0)
    return torch.stack([(1 + apart / width).rsqrt() for width in WIDTHS]).mean(0)


def _apart(e: Tensor) -> Tensor:
    """mean k(e_i, e_j) over i != j."""
    k = _kernel(e, e)
    return (k.sum() - k.trace()) / (len(e) * (len(e) - 1))


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3
