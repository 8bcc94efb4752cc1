"""The Inception of FID (Heusel et al., arXiv 1706.08500): TensorFlow's of 2015, as a change to torchvision's.

Average pooling excludes the padding, and the last block uses max pooling. Imports torchvision, which takes seconds.
"""

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.inception import Inception3, InceptionA, InceptionC, InceptionE


def _average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def _maximum(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, stride=1, padding=1)


class _A(InceptionA):
    def _forward(self, x: Tensor) -> list[Tensor]:
        # replaces the last branch, the pooled one
        return [*super()._forward(x)[:-1], self.branch_pool(_average(x))]


class _C(InceptionC):
    def _forward(self, x: Tensor) -> list[Tensor]:
        return [*super()._forward(x)[:-1], self.branch_pool(_average(x))]


class _E(InceptionE):
    def _forward(self, x: Tensor) -> list[Tensor]:
        return [*super()._forward(x)[:-1], self.branch_pool(_average(x))]


class _LastE(InceptionE):
    def _forward(self, x: Tensor) -> list[Tensor]:
        return [*super()._forward(x)[:-1], self.branch_pool(_maximum(x))]


def inception() -> nn.Module:
    """The whole network, with 1008 logits."""
    network = Inception3(num_classes=1008, aux_logits=False, transform_input=False, init_weights=False)
    network.Mixed_5b = _A(192, pool_features=32)
    network.Mixed_5c = _A(256, pool_features=64)
    network.Mixed_5d = _A(288, pool_features=64)
    network.Mixed_6b = _C(768, channels_7x7=128)
    network.Mixed_6c = _C(768, channels_7x7=160)
    network.Mixed_6d = _C(768, channels_7x7=160)
    network.Mixed_6e = _C(768, channels_7x7=192)
    network.Mixed_7b = _E(1280)
    network.Mixed_7c = _LastE(2048)
    return network
