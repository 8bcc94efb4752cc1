"""Pivotal tuning (Roich et al., arXiv 2106.05744): each row fine-tunes the synthesis weights, as differences from the trained
ones."""

from torch import Tensor, nn
from torch.func import functional_call, vmap

from relume.methods.gan.generator import Generator, Noise

MAPPING = "mapping."  # prefix of the weights from z to w, which are not tuned


class Painter(nn.Module):
    """w, noise -> images, as the module's forward."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, w: Tensor, *noise: Tensor) -> Tensor:
        return self.generator.synthesise(w, noise or None)


class Tuned:
    def __init__(self, generator: Generator) -> None:
        self.painter = Painter(generator)
        named = self.painter.named_parameters()
        self.weights = {name: value for name, value in named if not name.startswith(f"generator.{MAPPING}")}

    @property
    def length(self) -> int:
        """Weights per row."""
        return sum(value.numel() for value in self.weights.values())

    def paint(self, differences: Tensor, w: Tensor, noise: Noise) -> Tensor:
        """Differences (N, length), w (N, …), noise (N, 1, h, h) each -> (N, 3, size, size), row n by its own generator."""
        return vmap(self._one)(differences, w, *noise)

    def _one(self, differences: Tensor, w: Tensor, *noise: Tensor) -> Tensor:
        parts = differences.split([value.numel() for value in self.weights.values()])
        own = {name: value + part.view_as(value) for (name, value), part in zip(self.weights.items(), parts, strict=True)}
        painted: Tensor = functional_call(self.painter, own, (w[None], *(one[None] for one in noise)))
        return painted[0]
