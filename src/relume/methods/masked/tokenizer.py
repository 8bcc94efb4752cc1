"""A discrete visual tokenizer by finite scalar quantisation (Mentzer et al., arXiv 2309.15505): a code per cell, no codebook."""

import math

import torch
from torch import Tensor, nn

from relume.methods.masked.base import MaskedModel, Prediction, normalise, picture_of
from relume.methods.masked.config import TokenizerConfig


class Tokenizer(MaskedModel):
    """An autoencoder of whole images, regardless of the mask. The loss is the squared error."""

    sees_all = True
    reach: Tensor
    base: Tensor

    def __init__(self, config: TokenizerConfig, size: int, cell: int) -> None:
        super().__init__(size, cell)
        width, levels = config.width, torch.tensor(config.levels)
        self.kinds = math.prod(config.levels)
        self.register_buffer("reach", (levels // 2).float(), persistent=False)  # 7 levels are -3 ... 3
        self.register_buffer("base", torch.cat([torch.ones(1, dtype=torch.long), levels[:-1].cumprod(0)]), persistent=False)
        inward = [nn.Conv2d(3, width, cell, stride=cell), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1), nn.SiLU()]
        self.inward = nn.Sequential(*inward, nn.Conv2d(width, len(levels), 1))
        outward = [nn.Conv2d(len(levels), width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1), nn.SiLU()]
        self.outward = nn.Sequential(*outward, nn.Conv2d(width, 3 * cell**2, 1), nn.PixelShuffle(cell))

    def quantise(self, images: Tensor) -> Tensor:
        """Codes in [-1, 1], (N, cells, L), rounded with the straight-through gradient."""
        soft = self.inward(normalise(images)).float().flatten(2).mT.tanh() * self.reach
        return (soft + (soft.round() - soft).detach()) / self.reach

    def codes(self, images: Tensor) -> Tensor:
        """Code indices from 0 to kinds - 1: (N, cells)."""
        digits = (self.quantise(images) * self.reach + self.reach).round().long()
        return (digits * self.base).sum(-1)

    def book(self) -> Tensor:
        """All codes in [-1, 1]: (kinds, L)."""
        numbers = torch.arange(self.kinds, device=self.base.device)[:, None]
        digits = numbers // self.base % (2 * self.reach.long() + 1)
        return (digits - self.reach) / self.reach

    def decode(self, code: Tensor) -> Tensor:
        """Codes (N, cells, L), rounded or not -> values (N, 3, size, size)."""
        values: Tensor = self.outward(code.mT.unflatten(2, (self.side, self.side)))
        return values.float()

    def forward(self, images: Tensor, hidden: Tensor, generator: torch.Generator | None = None) -> Prediction:
        self.check_inputs(images, hidden)
        values = self.decode(self.quantise(images))
        return Prediction(picture=picture_of(values), loss=(values - normalise(images)).square().mean((1, 2, 3)))
