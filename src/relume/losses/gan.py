"""Losses of generators and discriminators, one value per sample. Scores (N,): higher means more real. Hinge: Lim & Ye, arXiv
1705.02894. Least squares: Mao et al., arXiv 1611.04076. Logistic: Goodfellow et al., arXiv 1406.2661. R1: arXiv 1801.04406. And
kernel distances between two sets of embeddings: KID (Binkowski et al., arXiv 1801.01401) for validation, and MMD (Gretton et al.,
JMLR 2012) as a loss."""

import torch
from torch import Tensor
from torch.nn import functional as F


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """max(0, 1 - real) + max(0, 1 + fake), in [0, inf)."""
    return F.relu(1 - real) + F.relu(1 + fake)


def hinge_generator(fake: Tensor) -> Tensor:
    """-fake."""
    return -fake


def least_squares(scores: Tensor, label: float) -> Tensor:
    """(score - label)^2."""
    return (scores - label).square()


def lsgan_discriminator(real: Tensor, fake: Tensor, past: Tensor, label: float) -> Tensor:
    """Real images at `label`; new and past generated images, half each, at 0."""
    return least_squares(real, label) + (least_squares(fake, 0) + least_squares(past, 0)) / 2


def logistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-log s(real) - log s(-fake), with the sigmoid s; in (0, inf)."""
    return F.softplus(-real) + F.softplus(fake)


def logistic_generator(fake: Tensor) -> Tensor:
    """The non-saturating loss -log s(fake)."""
    return F.softplus(-fake)


def gradient_penalty(scores: Tensor, pictures: Tensor) -> Tensor:
    """|d score / d image|^2 for colours in [-1, 1], as in R1's paper: (N,), differentiable."""
    (gradient,) = torch.autograd.grad(scores.sum(), [pictures], create_graph=True)
    return gradient.float().square().flatten(1).sum(1) / 4


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
