"""Masked autoencoder (He et al., arXiv 2111.06377): the encoder's input is the visible cells; a light decoder predicts all."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.methods.masked.base import (
    MaskedModel,
    Prediction,
    normalise,
    ordered,
    over_hidden,
    patches,
    picture_of,
    take,
    unpatch,
)
from relume.methods.masked.config import MaeConfig
from relume.methods.masked.vit import PatchDecoder, blocks, initialise, positions, token

EPS = 1e-6


class Mae(MaskedModel):
    """`norm_pix`: predicts cells normalised by their mean and std, and these two. The published code takes the two from the
    original to show images, which uses hidden pixels."""

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

    def encode(self, images: Tensor, indices: Tensor) -> Tensor:
        """Cells (N, K) -> the class token and the cells' tokens, (N, 1 + K, D)."""
        cells = take(patches(normalise(images), self.cell), indices)
        tokens = self.embed(cells) + self.position[indices]
        return self.blocks(torch.cat([self.summary.to(tokens.dtype).expand(len(tokens), 1, -1), tokens], dim=1))

    def forward(self, images: Tensor, hidden: Tensor, generator: torch.Generator | None = None) -> Prediction:
        self.check_inputs(images, hidden)
        order, visible = ordered(hidden)
        values = self.decoder(self.encode(images, order[:, :visible])[:, 1:], order).float()
        truth, masked = patches(normalise(images), self.cell), hidden.flatten(1)
        if not self.norm_pix:
            pixels = over_hidden((values - truth).square().mean(-1), masked)
            return Prediction(picture=picture_of(unpatch(values, self.cell)), loss=pixels)
        pattern, moments = values.split([self.values, 2], dim=-1)
        target = torch.cat([truth.mean(-1, keepdim=True), truth.std(-1, correction=0, keepdim=True)], dim=-1)
        relative = (truth - target[..., :1]) / (target[..., 1:] + EPS)
        terms = {
            "pattern": over_hidden((pattern - relative).square().mean(-1), masked),
            "moments": over_hidden((moments - target).square().mean(-1), masked),
        }
        restored = moments[..., :1] + F.relu(moments[..., 1:]) * pattern
        return Prediction(picture=picture_of(unpatch(restored, self.cell)), loss=terms["pattern"] + terms["moments"], terms=terms)

    def represent(self, images: Tensor) -> Tensor:
        """The mean of all cells' tokens."""
        indices = torch.arange(self.cells, device=images.device).expand(len(images), -1)
        return self.encode(images, indices)[:, 1:].mean(1)
