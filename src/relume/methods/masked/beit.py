"""BEiT (Bao et al., arXiv 2106.08254): predicts the discrete codes of hidden cells, by cross-entropy. The tokenizer decodes the
expected code instead of the most likely one, which lowers the mean error."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.methods.masked.base import MaskedModel, Prediction, normalise, over_hidden, patches, picture_of
from relume.methods.masked.config import BeitConfig
from relume.methods.masked.tokenizer import Tokenizer
from relume.methods.masked.vit import blocks, initialise, positions, token


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
