"""Mixed autoencoder (Chen et al., arXiv 2303.17152). In training a sequence holds the visible cells of an image and as many of a
partner from where the image is hidden; both are restored. Each token attends to as many others as its image has (homologous
attention), and is drawn to them (homologous recognition). Only the decoder gets a segment embedding. Otherwise one image."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.methods.masked.base import Guess, MaskedModel, normalise, ordered, over_hidden, patches, picture_of, take, unpatch
from relume.methods.masked.config import MixedAeConfig
from relume.methods.masked.vit import Attention, Block, PatchDecoder, initialise, positions, token


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
            block.attn = Attention(width, heads, bias=True)
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
            tokens = block(tokens, own)
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
    """Mean -log share of a token's similarity, exp(cosine / temperature), to the others of its image: (N, B, P) -> (N,). The
    first `first` tokens are of one image, the others of another."""
    unit = F.normalize(features.float(), dim=-1)
    count = unit.shape[1]
    oneself = torch.eye(count, dtype=torch.bool, device=unit.device)
    shares = (unit @ unit.mT / temperature).masked_fill(oneself, -torch.inf).log_softmax(-1)
    mine = torch.arange(count, device=unit.device) < first
    alike = (mine[:, None] == mine[None]) & ~oneself
    alone = alike.sum(1) == 0  # a picture of one token has nobody to be drawn to
    each = -shares.masked_fill(~alike, 0).sum(-1) / alike.sum(1).clamp_min(1)
    return each[:, ~alone].sum(1) / max(1, int((~alone).sum()))
