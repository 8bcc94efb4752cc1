"""A discriminator and the history of its objective, in one state dict, so that a killed training resumes exactly; differentiable
augmentation of real and generated images (Zhao et al., arXiv 2006.10738): colours, translation, cutout."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.methods.gan.config import DiffAugment
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


DRAWS = 7  # random numbers per image
GREY = 0.5  # value of padding and cutouts


def diff_augment(images: Tensor, config: DiffAugment, generators: Sequence[torch.Generator]) -> Tensor:
    """(N, 3, H, H) -> (N, 3, H, H). Row n always draws DRAWS numbers from generator n."""
    if not config.colour and config.translate == config.cutout == 0:
        return images
    draws = torch.stack([torch.rand(DRAWS, generator=one) for one in generators], dim=1).to(images)
    if config.colour:
        images = coloured(images, draws[:3])
    if config.translate > 0:
        most = int(config.translate * images.shape[-1])  # pixels
        images = shifted(images, ((2 * draws[3:5] - 1) * (most + 0.5)).round())
    return cut(images, config.cutout, draws[5:]) if config.cutout > 0 else images


def coloured(images: Tensor, draws: Tensor) -> Tensor:
    """Brightness plus -0.25 to 0.25, saturation times 0 to 2, contrast times 0.5 to 1.5; `draws` (3, N) in [0, 1)."""
    brightness, saturation, contrast = draws.view(3, -1, 1, 1, 1)
    images = images + (brightness - 0.5) / 2
    grey = images.mean(1, keepdim=True)
    images = grey + 2 * saturation * (images - grey)
    centre = images.mean((1, 2, 3), keepdim=True)
    return centre + (contrast + 0.5) * (images - centre)


def shifted(images: Tensor, by: Tensor) -> Tensor:
    """Shifted down and right by whole pixels, `by` (2, N), with grey padding."""
    n, _, side, _ = images.shape
    line = torch.arange(side, device=images.device)
    down, across = ((line - move[:, None]).clamp(-1, side) + 1 for move in by.long())  # (N, side): positions in the padded image
    padded = F.pad(images, (1, 1, 1, 1), value=GREY).permute(0, 2, 3, 1)
    rows = torch.arange(n, device=images.device).view(n, 1, 1)
    return padded[rows, down[:, :, None], across[:, None]].permute(0, 3, 1, 2)


def cut(images: Tensor, share: float, draws: Tensor) -> Tensor:
    """Sets a square to grey; its side is this share of the image's, its centre uniform: `draws` (2, N) in [0, 1)."""
    side = images.shape[-1]
    line = torch.arange(side, device=images.device)
    length = round(share * side)
    first = (draws * (side + 1 - length % 2)).floor() - length // 2
    down, across = ((line >= start[:, None]) & (line < start[:, None] + length) for start in first)
    return torch.where((down[:, :, None] & across[:, None])[:, None], GREY, images)
