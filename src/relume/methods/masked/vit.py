"""Parts of masked transformers: fixed position embeddings, blocks, and the light decoder of hidden cells."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.methods.masked.base import take
from relume.methods.masked.config import Transformer

STD = 0.02  # initial std of class, mask and segment tokens


def token(*shape: int) -> nn.Parameter:
    return nn.Parameter(STD * torch.randn(shape))


def positions(side: int, width: int) -> Tensor:
    """Sines and cosines of row and column, a quarter of the channels each: (side side, width)."""
    frequencies = 10000.0 ** -(torch.arange(width // 4) / (width // 4))
    angles = torch.arange(side)[:, None] * frequencies  # (side, width / 4)
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)
    rows, columns = waves[:, None].expand(-1, side, -1), waves[None].expand(side, -1, -1)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width, bias=bias), nn.Linear(width, width)

    def forward(self, x: Tensor, most: int | None = None) -> Tensor:
        """`most`: every query attends to the `most` keys with the highest scores (homologous attention)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (N, heads, tokens, width / heads)
        chosen = None
        if most is not None and most < x.shape[1]:
            with torch.no_grad():
                scores = q @ k.mT
                chosen = scores >= scores.topk(most, dim=-1).values[..., -1:]
        return self.proj(F.scaled_dot_product_attention(q, k, v, attn_mask=chosen).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """As in timm, whose import takes two seconds, with the same parameter names."""

    def __init__(self, width: int, heads: int, qkv_bias: bool = False) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width, eps=1e-6), Attention(width, heads, qkv_bias)
        self.norm2, self.mlp = nn.LayerNorm(width, eps=1e-6), Mlp(width)

    def forward(self, x: Tensor, most: int | None = None) -> Tensor:
        x = x + self.attn(self.norm1(x), most)
        return x + self.mlp(self.norm2(x))


def blocks(config: Transformer) -> nn.Sequential:
    """The blocks and a LayerNorm."""
    stack = [Block(config.width, config.heads, qkv_bias=True) for _ in range(config.depth)]
    return nn.Sequential(*stack, nn.LayerNorm(config.width))


def initialise(module: nn.Module) -> None:
    """As in MAE: Xavier initialisation of linear layers, biases 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class PatchDecoder(nn.Module):
    """Tokens of some cells, and a mask token for every other cell -> values of all cells."""

    position: Tensor

    def __init__(self, config: Transformer, side: int, inputs: int, values: int) -> None:
        super().__init__()
        self.enter = nn.Linear(inputs, config.width)
        self.unknown = token(config.width)
        self.register_buffer("position", positions(side, config.width), persistent=False)
        self.blocks = blocks(config)
        self.leave = nn.Linear(config.width, values)

    def forward(self, seen: Tensor, order: Tensor) -> Tensor:
        """Tokens (N, K, D) of the first K cells of `order` (N, cells) -> (N, cells, values)."""
        entered = self.enter(seen)
        missing = self.unknown.to(entered.dtype).expand(len(order), order.shape[1] - seen.shape[1], -1)
        tokens = take(torch.cat([entered, missing], dim=1), order.argsort(1))
        return self.leave(self.blocks(tokens + self.position))
