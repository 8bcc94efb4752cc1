"""DeepInversion's prior (Yin et al., arXiv 1912.08795): a picture's statistics are those that batch normalisations recorded.

A row is compared alone, with its own statistics over positions: rows do not touch each other, as they would in batch statistics.
"""

from torch import Tensor


def batchnorm(discrepancies: Tensor) -> Tensor:
    """Mean over layers of what the tap `batchnorm` tells: (N, L) -> (N,), 0 or more.

    The paper sums over layers; with the mean a weight holds across networks of any depth.
    """
    return discrepancies.mean(1)
