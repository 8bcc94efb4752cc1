"""BEiT (Bao et al., arXiv 2106.08254): predicts the discrete codes of hidden cells, by cross-entropy. The tokenizer decodes the
expected code instead of the most likely one, which lowers the mean error."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.methods.masked.base import MaskedModel, Prediction, normalise, over_hidden, patches, picture_of
from relume.methods.masked.config import BeitConfig, TokenizerConfig
from relume.methods.masked.vit import blocks, initialise, positions, token


class Tokenizer(MaskedModel):
    """An autoencoder of whole images, regardless of the mask, by finite scalar quantisation (Mentzer et al., arXiv 2309.15505): a
    code per cell, no codebook. The loss is the squared error."""

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


class Beit(MaskedModel):
    """`tokenizer` is pre-trained and frozen; its weights are saved with the model's."""

    position: Tensor

    def __init__(self, config: BeitConfig, size: int, cell: int) -> None:
        super().__init__(size, cell)
        width = config.encoder.width
        self.embed = nn.Linear(3 * cell**2, width)
        self.unknown, self.summary = token(width), token(width)
        self.register_buffer("position", positions(self.side, width), persistent=False)
        self.blocks = blocks(config.encoder)
        tokenizer = Tokenizer(config.tokenizer, size, cell)
        self.head = nn.Linear(width, tokenizer.kinds)
        initialise(self)
        self.tokenizer = tokenizer.requires_grad_(False)

    def encode(self, images: Tensor, hidden: Tensor) -> Tensor:
        """The class token and the cells' tokens: (N, 1 + cells, D)."""
        tokens = self.embed(patches(normalise(images), self.cell))
        tokens = torch.where(hidden.flatten(1)[..., None], self.unknown.to(tokens.dtype), tokens) + self.position
        return self.blocks(torch.cat([self.summary.to(tokens.dtype).expand(len(tokens), 1, -1), tokens], dim=1))

    def forward(self, images: Tensor, hidden: Tensor, generator: torch.Generator | None = None) -> Prediction:
        self.check_inputs(images, hidden)
        logits = self.head(self.encode(images, hidden)[:, 1:]).float()  # (N, cells, kinds)
        with torch.no_grad():
            codes = self.tokenizer.codes(images)
            picture = picture_of(self.tokenizer.decode(logits.softmax(-1) @ self.tokenizer.book()))
        masked = hidden.flatten(1)
        loss = over_hidden(F.cross_entropy(logits.mT, codes, reduction="none"), masked)
        correct = over_hidden((logits.argmax(-1) == codes).float(), masked)
        return Prediction(picture=picture, loss=loss, terms={"codes_right": correct})

    def represent(self, images: Tensor) -> Tensor:
        """The mean of the cells' tokens."""
        unmasked = torch.zeros(len(images), self.side, self.side, dtype=torch.bool, device=images.device)
        return self.encode(images, unmasked)[:, 1:].mean(1)
