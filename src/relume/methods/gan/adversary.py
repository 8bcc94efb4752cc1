"""A discriminator and the history of its objective, all in one state dict, so that a killed training resumes exactly."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from relume.methods.gan.generator import Generator
from relume.training.replay import Ring

PATH_DECAY = 0.99  # of the running mean of path lengths


class Adversary(nn.Module):
    """`history`: number of earlier samples to store."""

    def __init__(self, discriminator: nn.Module, size: int, history: int) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.history = Ring(pictures=torch.zeros(history, 3, size, size))
        self.paths = Paths()

    def forward(self, pictures: Tensor) -> Tensor:
        return self.discriminator(pictures).float()


class Paths(nn.Module):
    """Path-length regularisation (Karras et al., arXiv 1912.04958): a step in w should change all images equally."""

    running_mean: Tensor  # (): of the lengths; processes average buffers of this name

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(()))

    def forward(self, generator: Generator, generators: Sequence[torch.Generator]) -> Tensor:
        """(length - mean)^2 of new samples: (N,)."""
        found = lengths(generator, generators)
        self.running_mean.lerp_(found.detach().mean(), 1 - PATH_DECAY)
        return (found - self.running_mean).square()


def lengths(generator: Generator, generators: Sequence[torch.Generator]) -> Tensor:
    """|J^T y| / size with J = d image / d w, y standard normal, root mean square over layers, colours in [-1, 1]: (N,)."""
    z, noise = generator.draw(generators).requires_grad_(), generator.draw_noise(generators)
    w = generator.spread(generator.map(z))  # (N, L, D)
    pictures = 2 * generator.synthesise(w, noise)
    y = torch.stack([torch.randn(pictures.shape[1:], generator=one) for one in generators]).to(pictures)
    (gradient,) = torch.autograd.grad((pictures * y).sum() / generator.size, [w], create_graph=True)
    return (gradient.square().sum(2).mean(1) + 1e-12).sqrt()
