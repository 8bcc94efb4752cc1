"""Mixed autoencoder (Chen et al., arXiv 2303.17152). In training, a sequence has the visible cells of an image and as many of a
partner at hidden positions; both are reconstructed. A token attends to as many tokens as its image has (homologous attention)
and must be similar to them (homologous recognition). Only the decoder has a segment embedding. Inference uses one image."""

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
from relume.methods.masked.config import MixedAeConfig
from relume.methods.masked.vit import Attention, Block, PatchDecoder, initialise, positions, token


class MixedAe(MaskedModel):
    """`forward` reconstructs one image; training uses `mixed`."""

    position: Tensor

    def __init__(self, config: MixedAeConfig, size: int, cell: int) -> None:
        super().__init__(size, cell)
        width, heads = config.encoder.width, config.encoder.heads
        self.recognition, self.temperature = config.recognition, config.temperature
        self.embed = nn.Linear(3 * cell**2, width)
        self.register_buffer("position", positions(self.side, width), persistent=False)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(config.encoder.depth))
        for block in self.blocks:
            block.attn = Attention(width, heads, bias=True)
        self.norm = nn.LayerNorm(width)
        self.segment = token(2, width)
        self.project = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, config.projection))
        self.decoder = PatchDecoder(config.decoder, self.side, width, 3 * cell**2)
        initialise(self)

    def embedded(self, images: Tensor, indices: Tensor) -> Tensor:
        """Tokens of some cells: (N, K, D)."""
        tokens: Tensor = self.embed(take(patches(normalise(images), self.cell), indices))
        return tokens + self.position[indices]

    def encode(self, tokens: Tensor, own: int) -> Tensor:
        """(N, B, D) -> (N, B, D); `own`: the number of tokens per image."""
        for block in self.blocks:
            tokens = block(tokens, own)
        return self.norm(tokens)

    def restore(self, encoded: Tensor, order: Tensor, segment: int) -> Tensor:
        """Values of all cells, from the tokens of the first cells in `order`: (N, cells, 3 cell cell)."""
        values: Tensor = self.decoder(encoded + self.segment[segment].to(encoded.dtype), order)
        return values.float()

    def forward(self, images: Tensor, hidden: Tensor, generator: torch.Generator | None = None) -> Prediction:
        """The squared error over hidden cells, without mixing."""
        self.check_inputs(images, hidden)
        order, visible = ordered(hidden)
        encoded = self.encode(self.embedded(images, order[:, :visible]), visible)
        values = self.restore(encoded, order, 0)
        loss = over_hidden(self._error(values, images), hidden.flatten(1))
        return Prediction(picture=picture_of(unpatch(values, self.cell)), loss=loss)

    def mixed(self, images: Tensor, partners: Tensor, hidden: Tensor) -> Prediction:
        """Row n is mixed with row n of `partners`. Returns the prediction for `images`."""
        self.check_inputs(images, hidden)
        order, visible = ordered(hidden)
        partner_order = order.flip(1)  # hidden cells first
        other = min(visible, self.cells - visible)
        parts = [self.embedded(images, order[:, :visible]), self.embedded(partners, partner_order[:, :other])]
        encoded = self.encode(torch.cat(parts, dim=1), max(visible, other))
        first, second = encoded.split([visible, other], dim=1)
        values, values_too = self.restore(first, order, 0), self.restore(second, partner_order, 1)
        shown = torch.zeros_like(hidden.flatten(1)).scatter(1, partner_order[:, :other], True)
        own_error = over_hidden(self._error(values, images), hidden.flatten(1))
        partner_error = over_hidden(self._error(values_too, partners), ~shown)
        terms = {
            "pixels": (own_error + partner_error) / 2,
            "recognition": recognition(self.project(encoded), visible, self.temperature),
        }
        loss = terms["pixels"] + self.recognition * terms["recognition"]
        return Prediction(picture=picture_of(unpatch(values, self.cell)), loss=loss, terms=terms)

    def _error(self, values: Tensor, images: Tensor) -> Tensor:
        return (values - patches(normalise(images), self.cell)).square().mean(-1)

    def represent(self, images: Tensor) -> Tensor:
        """The mean of all cells' tokens."""
        indices = torch.arange(self.cells, device=images.device).expand(len(images), -1)
        return self.encode(self.embedded(images, indices), self.cells).mean(1)


def recognition(features: Tensor, first: int, temperature: float) -> Tensor:
    """Mean -log softmax(cosine / temperature) over other tokens of the same image: (N, B, P) -> (N,). The first `first` tokens
    belong to one image, the others to another."""
    unit = F.normalize(features.float(), dim=-1)
    count = unit.shape[1]
    diagonal = torch.eye(count, dtype=torch.bool, device=unit.device)
    shares = (unit @ unit.mT / temperature).masked_fill(diagonal, -torch.inf).log_softmax(-1)
    in_first = torch.arange(count, device=unit.device) < first
    same = (in_first[:, None] == in_first[None]) & ~diagonal
    alone = same.sum(1) == 0  # an image of one token has no pairs
    each = -shares.masked_fill(~same, 0).sum(-1) / same.sum(1).clamp_min(1)
    return each[:, ~alone].sum(1) / max(1, int((~alone).sum()))
