"""What a generator and its discriminator minimise, one value per sample. Scores (N,): the higher, the more a picture passes for
a true one. Least squares: Mao et al., arXiv 1611.04076; logistic: Goodfellow et al., arXiv 1406.2661; R1: arXiv 1801.04406.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def squared(scores: Tensor, label: float) -> Tensor:
    """(score - label)^2."""
    return (scores - label).square()


def told_by_squares(real: Tensor, fake: Tensor, past: Tensor, label: float) -> Tensor:
    """The discriminator's: true pictures at `label`, new and past made ones, half each, at 0."""
    return squared(real, label) + (squared(fake, 0) + squared(past, 0)) / 2


def told_by_logits(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's: -log s(real) - log s(-fake), with s the sigmoid; in (0, inf)."""
    return F.softplus(-real) + F.softplus(fake)


def fooled_by_logits(fake: Tensor) -> Tensor:
    """The generator's, which does not saturate where it is found out: -log s(fake)."""
    return F.softplus(-fake)


def steepness(scores: Tensor, pictures: Tensor) -> Tensor:
    """|d score / d picture|^2, colours from -1 to 1 as where R1's weights are published: (N,), to be differentiated on."""
    (slope,) = torch.autograd.grad(scores.sum(), [pictures], create_graph=True)
    return slope.float().square().flatten(1).sum(1) / 4
