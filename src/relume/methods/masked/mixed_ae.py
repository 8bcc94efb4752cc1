"""Mixed autoencoder (Chen et al., arXiv 2303.17152): where a picture is hidden another shows, and the two must be told apart.

In training a sequence holds the visible cells of a picture and as many of its partner, from where the picture is hidden; with
half of it hidden that is the published mixture, with more some cells are left out, as in MAE. Both pictures are restored, each
from its own cells. The encoder is helped to find out which cells are of one picture: a token attends to as many others as its
picture has (homologous attention), and its features are drawn to theirs (homologous recognition). A segment embedding says it
openly, but to the decoder: before, nothing would be left to recognise. One picture alone, as always but in training, is a
sequence of its own.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.methods.masked.base import Guess, MaskedModel, normalise, ordered, over_hidden, patches, picture_of, take, unpatch
from relume.methods.masked.config import MixedAeConfig
from relume.methods.masked.vit import Block, PatchDecoder, initialise, positions, token


class HomologousAttention(nn.Module):
    """Every query attends to the `most` keys alone that it agrees with best."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, most: int) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (N, heads, B, d) each
        chosen = None
        if most < x.shape[1]:
            with torch.no_grad():
                scores = q @ k.mT
                chosen = scores >= scores.topk(most, dim=-1).values[..., -1:]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=chosen)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class MixedAe(MaskedModel):
    """`forward` restores one picture; `mixed` is what it is trained by."""

    position: Tensor

    def __init__(self, config: MixedAeConfig, size: int, cell: int) -> None:
        super().__init__(size, cell)
        width, heads = config.encoder.width, config.encoder.heads
        self.recognition, self.temperature = config.recognition, config.temperature
        self.embed = nn.Linear(3 * cell**2, width)
        self.register_buffer("position", positions(self.side, width), persistent=False)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(config.encoder.depth))
        for block in self.blocks:
            block.attn = HomologousAttention(width, heads)
        self.norm = nn.LayerNorm(width)
        self.segment = token(2, width)
        self.project = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, config.projection))
        self.decoder = PatchDecoder(config.decoder, self.side, width, 3 * cell**2)
        initialise(self)

    def embedded(self, images: Tensor, places: Tensor) -> Tensor:
        """Tokens of some cells: (N, K, D)."""
        seen: Tensor = self.embed(take(patches(normalise(images), self.cell), places))
        return seen + self.position[places]

    def encode(self, tokens: Tensor, own: int) -> Tensor:
        """(N, B, D) -> the same; `own`: how many of them a picture has."""
        for block in self.blocks:
            assert isinstance(block, Block)
            tokens = tokens + block.attn(block.norm1(tokens), own)
            tokens = tokens + block.mlp(block.norm2(tokens))
        return self.norm(tokens)

    def restore(self, encoded: Tensor, order: Tensor, segment: int) -> Tensor:
        """Values of all cells, from tokens of the first of them: (N, cells, 3 cell cell)."""
        values: Tensor = self.decoder(encoded + self.segment[segment].to(encoded.dtype), order)
        return values.float()

    def forward(self, images: Tensor, hidden: Tensor, generator: torch.Generator | None = None) -> Guess:
        """The squared error over hidden cells, nothing being mixed."""
        self.admit(images, hidden)
        order, visible = ordered(hidden)
        encoded = self.encode(self.embedded(images, order[:, :visible]), visible)
        values = self.restore(encoded, order, 0)
        loss = over_hidden(self._error(values, images), hidden.flatten(1))
        return Guess(picture=picture_of(unpatch(values, self.cell)), loss=loss)

    def mixed(self, images: Tensor, partners: Tensor, hidden: Tensor) -> Guess:
        """Row n is mixed with row n of `partners`. The picture is that of `images`."""
        self.admit(images, hidden)
        order, visible = ordered(hidden)
        theirs = order.flip(1)  # what is hidden comes first
        other = min(visible, self.cells - visible)
        parts = [self.embedded(images, order[:, :visible]), self.embedded(partners, theirs[:, :other])]
        encoded = self.encode(torch.cat(parts, dim=1), max(visible, other))
        first, second = encoded.split([visible, other], dim=1)
        values, values_too = self.restore(first, order, 0), self.restore(second, theirs, 1)
        shown = torch.zeros_like(hidden.flatten(1)).scatter(1, theirs[:, :other], True)
        here = over_hidden(self._error(values, images), hidden.flatten(1))
        there = over_hidden(self._error(values_too, partners), ~shown)
        terms = {"pixels": (here + there) / 2, "recognition": recognition(self.project(encoded), visible, self.temperature)}
        loss = terms["pixels"] + self.recognition * terms["recognition"]
        return Guess(picture=picture_of(unpatch(values, self.cell)), loss=loss, terms=terms)

    def _error(self, values: Tensor, images: Tensor) -> Tensor:
        return (values - patches(normalise(images), self.cell)).square().mean(-1)

    def represent(self, images: Tensor) -> Tensor:
        """The mean of all cells' tokens."""
        everything = torch.arange(self.cells, device=images.device).expand(len(images), -1)
        return self.encode(self.embedded(images, everything), self.cells).mean(1)


def recognition(features: Tensor, first: int, temperature: float) -> Tensor:
    """-log of the share of a token's likeness that goes to each other token of its picture, in the mean: (N, B, P) -> (N,).

    The first `first` tokens are of one picture, the others of another; likeness is exp(cosine / temperature).
    """
    unit = F.normalize(features.float(), dim=-1)
    count = unit.shape[1]
    oneself = torch.eye(count, dtype=torch.bool, device=unit.device)
    shares = (unit @ unit.mT / temperature).masked_fill(oneself, -torch.inf).log_softmax(-1)
    mine = torch.arange(count, device=unit.device) < first
    alike = (mine[:, None] == mine[None]) & ~oneself
    alone = alike.sum(1) == 0  # a picture of one token has nobody to be drawn to
    each = -shares.masked_fill(~alike, 0).sum(-1) / alike.sum(1).clamp_min(1)
    return each[:, ~alone].sum(1) / max(1, int((~alone).sum()))
