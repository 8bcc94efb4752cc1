"""What masked transformers share: fixed positions, a stack of timm's blocks, the light decoder that fills in what is hidden."""

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from relume.methods.masked.base import take
from relume.methods.masked.config import Transformer

STD = 0.02  # of first class, mask and segment tokens


def token(*shape: int) -> nn.Parameter:
    return nn.Parameter(STD * torch.randn(shape))


def positions(side: int, width: int) -> Tensor:
    """Sines and cosines of row and column, a quarter of the numbers each: (side side, width)."""
    frequencies = 10000.0 ** -(torch.arange(width // 4) / (width // 4))
    angles = torch.arange(side)[:, None] * frequencies  # (side, width / 4)
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)
    rows, columns = waves[:, None].expand(-1, side, -1), waves[None].expand(side, -1, -1)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)


def blocks(config: Transformer) -> nn.Sequential:
    """timm's, with fused attention, and a LayerNorm at the end."""
    stack = [Block(config.width, config.heads, qkv_bias=True) for _ in range(config.depth)]
    return nn.Sequential(*stack, nn.LayerNorm(config.width))


def initialise(module: nn.Module) -> None:
    """As in MAE: linear layers by Xavier, without a bias."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class PatchDecoder(nn.Module):
    """Tokens of some cells and a mask token for every other -> values of all cells."""

    position: Tensor

    def __init__(self, config: Transformer, side: int, inputs: int, values: int) -> None:
        super().__init__()
        self.enter = nn.Linear(inputs, config.width)
        self.unknown = token(config.width)
        self.register_buffer("position", positions(side, config.width), persistent=False)
        self.blocks = blocks(config)
        self.leave = nn.Linear(config.width, values)

    def forward(self, seen: Tensor, order: Tensor) -> Tensor:
        """(N, K, D) and an order of the cells (N, cells), of which the first K are those -> (N, cells, values)."""
        entered = self.enter(seen)
        missing = self.unknown.to(entered.dtype).expand(len(order), order.shape[1] - seen.shape[1], -1)
        whole = take(torch.cat([entered, missing], dim=1), order.argsort(1))
        values: Tensor = self.leave(self.blocks(whole + self.position))
        return values
