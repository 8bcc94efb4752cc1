"""theta of landscape learning (Liu et al. 2022, arXiv 2206.09027): states -> the generator's latents. States (N, D) and
theta's outputs are standardised: 0 is the mean latent, 1 the latents' std. Without a landscape theta(z) = z."""

import torch
from torch import Tensor, nn

from relume.methods.landscape.config import LandscapeArchitecture

SLOPE = 0.2  # of the LeakyReLU


class Landscape(nn.Module):
    """`centre`: the mean latent; `scale`: the latents' std. Rows are independent."""

    centre: Tensor
    scale: Tensor  # ()
    basis: Tensor | None  # (D, D), orthogonal; its columns are the axes of states

    def __init__(self, centre: Tensor, scale: float, config: LandscapeArchitecture) -> None:
        super().__init__()
        self.register_buffer("centre", centre.clone())
        self.register_buffer("scale", torch.tensor(scale))
        self.residual, size = config.residual, centre.numel()
        self.register_buffer("basis", torch.eye(size) if config.rotated else None)
        widths = (size, *config.hidden)
        pairs = zip(widths[:-1], widths[1:], strict=True)
        parts = [part for pair in pairs for part in (nn.Linear(*pair), nn.LayerNorm(pair[1]), nn.LeakyReLU(SLOPE))]
        leave = nn.Linear(widths[-1], size)
        if self.residual:
            nn.init.zeros_(leave.weight)
            nn.init.zeros_(leave.bias)
        self.layers = nn.Sequential(*parts, leave)

    def theta(self, z: Tensor) -> Tensor:
        """(N, D) -> (N, D)."""
        found: Tensor = self.layers(z).float()
        return self.rotated(z) + found if self.residual else found

    def rotated(self, z: Tensor) -> Tensor:
        """The skip connection: (N, D) -> (N, D)."""
        return z if self.basis is None else z @ self.basis.mT

    def unturned(self, units: Tensor) -> Tensor:
        """The inverse of `rotated`."""
        return units if self.basis is None else units @ self.basis

    def forward(self, z: Tensor) -> Tensor:
        """States (N, D) -> latents (N, *centre.shape), through theta."""
        return self.latents(self.theta(z))

    def latents(self, units: Tensor) -> Tensor:
        """(N, D) -> (N, *centre.shape)."""
        return self.centre + self.scale * units.unflatten(1, self.centre.shape)

    def units(self, latents: Tensor) -> Tensor:
        """(N, *centre.shape) -> (N, D)."""
        if latents.shape[1:] != self.centre.shape:
            raise ValueError(f"needs latents of shape {tuple(self.centre.shape)}, got {tuple(latents.shape[1:])}")
        return ((latents - self.centre) / self.scale).flatten(1)
