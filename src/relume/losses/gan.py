"""Losses of generators and discriminators, one value per sample. Scores (N,): higher means more real. Hinge: Lim & Ye, arXiv
1705.02894. Least squares: Mao et al., arXiv 1611.04076. Logistic: Goodfellow et al., arXiv 1406.2661. R1: arXiv 1801.04406."""

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
