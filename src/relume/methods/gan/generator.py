"""The base class of generators: z (N, latent) -> w (N, width) -> images (N, 3, size, size) in [0, 1]. An image depends on
`layers` w's, equal or different (w+), and on one noise map per entry of `sides`, stored or given."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from relume.core import runtime

DRAWS = 10_000  # for the mean w
Noise = Sequence[Tensor]  # (N, 1, h, h) per noise map, standard normal


class Generator(nn.Module, ABC):
    running_mean: Tensor  # (width,): the mean w, set after training

    def __init__(self, *, latent: int, width: int, layers: int, size: int, sides: Sequence[int] = ()) -> None:
        super().__init__()
        self.latent, self.width, self.layers, self.size, self.sides = latent, width, layers, size, tuple(sides)
        self.register_buffer("running_mean", torch.zeros(width))

    @abstractmethod
    def map(self, z: Tensor) -> Tensor:
        """(N, latent) -> w (N, width)."""

    @abstractmethod
    def paint(self, w: Tensor, noise: Noise | None) -> Tensor:
        """w (N, layers, width) -> (N, 3, size, size) in [0, 1]."""

    def synthesise(self, w: Tensor, noise: Noise | None = None) -> Tensor:
        """w (N, width), or w+ (N, layers, width) -> (N, 3, size, size) in [0, 1], float32."""
        return self.paint(self.spread(w), noise).float()

    def forward(self, z: Tensor, noise: Noise | None = None) -> Tensor:
        return self.synthesise(self.map(z), noise)

    def spread(self, w: Tensor) -> Tensor:
        """w (N, width) as w+ (N, layers, width); w+ unchanged."""
        plus = w[:, None].expand(-1, self.layers, -1) if w.ndim == 2 else w
        if plus.shape[1:] != (self.layers, self.width):
            raise ValueError(f"needs w (N, {self.width}) or (N, {self.layers}, {self.width}), got {tuple(w.shape)}")
        return plus

    def draw(self, generators: Sequence[torch.Generator]) -> Tensor:
        """z, standard normal, row n from generator n: (N, latent)."""
        return torch.stack([torch.randn(self.latent, generator=one) for one in generators]).to(self.running_mean.device)

    def within(self, w: Tensor, space: str) -> Tensor:
        """w as a latent of a space (w or w_plus)."""
        return self.spread(w) if space == "w_plus" else w

    def drawn(self, space: str, generators: Sequence[torch.Generator]) -> Tensor:
        """Random latents of a space (z, w or w_plus), row n from generator n."""
        z = self.draw(generators)
        return z if space == "z" else self.within(self.map(z), space)

    def centre(self, space: str) -> Tensor:
        """The mean latent of a space; 0 for z."""
        mean = self.running_mean
        return mean.new_zeros(self.latent) if space == "z" else self.within(mean[None], space)[0]

    def paint_latents(self, space: str, latents: Tensor) -> Tensor:
        """Latents of a space -> (N, 3, size, size), by the stored noise."""
        return self(latents) if space == "z" else self.synthesise(latents)

    def draw_noise(self, generators: Sequence[torch.Generator]) -> list[Tensor]:
        """Noise maps, row n from generator n."""
        cells = [side * side for side in self.sides]
        drawn = torch.stack([torch.randn(sum(cells), generator=one) for one in generators]).to(self.running_mean.device)
        return maps(drawn, self.sides)

    def truncated(self, w: Tensor, psi: float) -> Tensor:
        """The truncation trick for w or w+: psi 1 returns w, 0 the mean."""
        return torch.lerp(self.running_mean, w, psi)


@torch.no_grad()
def set_mean(model: Generator, seed: int, *keys: object) -> None:
    """Sets the mean w of DRAWS fixed samples. If w is z it stays 0."""
    z = torch.randn(DRAWS, model.latent, generator=runtime.generator(seed, *keys, "mean")).to(model.running_mean)
    w = model.map(z)
    if w is not z:
        model.running_mean.copy_(w.double().mean(0))


def maps(flat: Tensor, sides: Sequence[int]) -> list[Tensor]:
    """(N, sum of side^2) -> (N, 1, side, side) per side."""
    parts = flat.split([side * side for side in sides], dim=1)
    return [part.unflatten(1, (1, side, side)) for part, side in zip(parts, sides, strict=True)]


def doubled_sides(size: int, least: int = 4) -> list[int]:
    """least, 2 least, ... size."""
    sides = [least]
    while sides[-1] < size:
        sides.append(2 * sides[-1])
    if sides[-1] != size or len(sides) < 2:
        raise ValueError(f"size must be {2 * least}, {4 * least}, {8 * least}, …, got {size}")
    return sides
