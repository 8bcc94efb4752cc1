"""What two players minimise, one value per sample. Scores are (N,): the higher, the more a picture passes for a true one.

The hinge (Lim & Ye, arXiv 1705.02894) is the simplest that is known to be stable where a discriminator's weights are bounded: no
second derivatives, as a penalty on gradients needs, no further weight, no slope from pictures that are told apart already.
"""

from torch import Tensor
from torch.nn import functional as F


def hinge(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's: max(0, 1 - real) + max(0, 1 + fake), in [0, inf)."""
    return F.relu(1 - real) + F.relu(1 + fake)


def deceive(fake: Tensor) -> Tensor:
    """Its adversary's: -fake."""
    return -fake
