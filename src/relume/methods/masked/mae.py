"""Masked autoencoder (He et al., arXiv 2111.06377): the encoder sees visible cells only, a light decoder fills in the others."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.methods.masked.base import Guess, MaskedModel, normalise, ordered, over_hidden, patches, picture_of, take, unpatch
from relume.methods.masked.config import MaeConfig
from relume.methods.masked.vit import PatchDecoder, blocks, initialise, positions, token

EPS = 1e-6


class Mae(MaskedModel):
    """`norm_pix`: cells are predicted in units of their own mean and deviation, and these two as well. The published code takes
    them from the original when it shows images, which looks at what is hidden."""

    position: Tensor

    def __init__(self, config: MaeConfig, size: int, cell: int) -> None:
        super().__init__(size, cell)
        self.norm_pix, self.values = config.norm_pix, 3 * cell**2
        width = config.encoder.width
        self.embed = nn.Linear(self.values, width)
        self.register_buffer("position", positions(self.side, width), persistent=False)
        self.summary = token(width)
        self.blocks = blocks(config.encoder)
        self.decoder = PatchDecoder(config.decoder, self.side, width, self.values + (2 if config.norm_pix else 0))
        initialise(self)

    def encode(self, images: Tensor, places: Tensor) -> Tensor:
        """What the encoder makes of some cells, (N, K): the class token and theirs, (N, 1 + K, D)."""
        seen = take(patches(normalise(images), self.cell), places)
        tokens = self.embed(seen) + self.position[places]
        return self.blocks(torch.cat([self.summary.to(tokens.dtype).expand(len(tokens), 1, -1), tokens], dim=1))

    def forward(self, images: Tensor, hidden: Tensor, generator: torch.Generator | None = None) -> Guess:
        self.admit(images, hidden)
        order, visible = ordered(hidden)
        values = self.decoder(self.encode(images, order[:, :visible])[:, 1:], order).float()
        truth, dark = patches(normalise(images), self.cell), hidden.flatten(1)
        if not self.norm_pix:
            pixels = over_hidden((values - truth).square().mean(-1), dark)
            return Guess(picture=picture_of(unpatch(values, self.cell)), loss=pixels)
        pattern, moments = values.split([self.values, 2], dim=-1)
        wanted = torch.cat([truth.mean(-1, keepdim=True), truth.std(-1, correction=0, keepdim=True)], dim=-1)
        relative = (truth - wanted[..., :1]) / (wanted[..., 1:] + EPS)
        terms = {
            "pattern": over_hidden((pattern - relative).square().mean(-1), dark),
            "moments": over_hidden((moments - wanted).square().mean(-1), dark),
        }
        restored = moments[..., :1] + F.relu(moments[..., 1:]) * pattern
        return Guess(picture=picture_of(unpatch(restored, self.cell)), loss=terms["pattern"] + terms["moments"], terms=terms)

    def represent(self, images: Tensor) -> Tensor:
        """The mean of all cells' tokens."""
        everything = torch.arange(self.cells, device=images.device).expand(len(images), -1)
        return self.encode(images, everything)[:, 1:].mean(1)
