"""The Inception of FID (Heusel et al., arXiv 1706.08500): TensorFlow's of 2015, as a change to torchvision's. Average pooling
excludes the padding, and the last block uses max pooling. Imports torchvision, which takes seconds."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.inception import Inception3, InceptionA, InceptionC, InceptionE

AVERAGE = partial(F.avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False)
MAXIMUM = partial(F.max_pool2d, kernel_size=3, stride=1, padding=1)


def _with_pool(block: Any, pool: Callable[[Tensor], Tensor] = AVERAGE) -> Any:
    """The class `block` with another pooling in its last branch."""

    class Block(block):
        def _forward(self, x: Tensor) -> list[Tensor]:
            return [*super()._forward(x)[:-1], self.branch_pool(pool(x))]

    return Block


def inception() -> nn.Module:
    """The whole network, with 1008 logits."""
    network = Inception3(num_classes=1008, aux_logits=False, transform_input=False, init_weights=False)
    network.Mixed_5b = _with_pool(InceptionA)(192, pool_features=32)
    network.Mixed_5c = _with_pool(InceptionA)(256, pool_features=64)
    network.Mixed_5d = _with_pool(InceptionA)(288, pool_features=64)
    network.Mixed_6b = _with_pool(InceptionC)(768, channels_7x7=128)
    network.Mixed_6c = _with_pool(InceptionC)(768, channels_7x7=160)
    network.Mixed_6d = _with_pool(InceptionC)(768, channels_7x7=160)
    network.Mixed_6e = _with_pool(InceptionC)(768, channels_7x7=192)
    network.Mixed_7b = _with_pool(InceptionE)(1280)
    network.Mixed_7c = _with_pool(InceptionE, MAXIMUM)(2048)
    return network
