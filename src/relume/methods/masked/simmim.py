"""SimMIM (Xie et al., arXiv 2111.09886) on a Swin Transformer (Liu et al., arXiv 2103.14030): mask tokens where cells are hidden,
one linear layer to pixels. The stages are as in timm, whose import takes two seconds."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.methods.masked.base import MaskedModel, Prediction, normalise, over_hidden, patches, picture_of
from relume.methods.masked.config import SimMimConfig
from relume.methods.masked.vit import Mlp, token

FAR = -100.0  # attention bias between positions that were not neighbours before the shift


def windows(x: Tensor, side: int) -> Tensor:
    """(N, H, W, C) -> (N windows, side side, C); zero-padded below and at the right."""
    x = F.pad(x, (0, 0, 0, -x.shape[2] % side, 0, -x.shape[1] % side))
    return x.unflatten(1, (-1, side)).unflatten(3, (-1, side)).transpose(2, 3).flatten(3, 4).flatten(0, 2)


def unwindow(parts: Tensor, side: int, height: int, width: int) -> Tensor:
    """The inverse of `windows`: (N, H, W, C)."""
    rows, columns = -(-height // side), -(-width // side)
    x = parts.unflatten(1, (side, side)).unflatten(0, (-1, rows, columns)).transpose(2, 3)
    return x.flatten(3, 4).flatten(1, 2)[:, :height, :width]


class WindowAttention(nn.Module):
    """Attention within windows, with relative position bias."""

    relative_position_index: Tensor

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * side - 1) ** 2, heads))
        at = torch.cartesian_prod(torch.arange(side), torch.arange(side))
        offset = at[:, None] - at[None] + side - 1
        self.register_buffer("relative_position_index", offset[..., 0] * (2 * side - 1) + offset[..., 1], persistent=False)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(N windows, K, C); `mask`: (windows, K, K), added to the scores."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        scores = q * self.scale @ k.transpose(-2, -1) + bias
        if mask is not None:
            scores = (scores.unflatten(0, (-1, len(mask))) + mask[:, None]).flatten(0, 1)
        return self.proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """A Swin block; every second one shifts the windows by half a side."""

    attn_mask: Tensor | None

    def __init__(self, width: int, heads: int, window: int, side: int, shifted: bool) -> None:
        super().__init__()
        self.window = min(side, window)
        self.shift = window // 2 if shifted and side > self.window else 0
        self.norm1, self.attn = nn.LayerNorm(width), WindowAttention(width, heads, self.window)
        self.norm2, self.mlp = nn.LayerNorm(width), Mlp(width)
        self.register_buffer("attn_mask", self._shift_mask(side), persistent=False)

    def _shift_mask(self, side: int) -> Tensor | None:
        if not self.shift:
            return None
        side = -(-side // self.window) * self.window
        at = torch.arange(side)
        part = (at >= side - self.window).long() + (at >= side - self.shift)
        number = windows((3 * part[:, None] + part)[None, ..., None].float(), self.window).squeeze(-1)
        return (number[:, None] != number[:, :, None]) * FAR

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C)"""
        _, height, width, _ = x.shape
        y = torch.roll(self.norm1(x), (-self.shift, -self.shift), (1, 2)) if self.shift else self.norm1(x)
        y = unwindow(self.attn(windows(y, self.window), self.attn_mask), self.window, height, width)
        x = x + (torch.roll(y, (self.shift, self.shift), (1, 2)) if self.shift else y)
        return x + self.mlp(self.norm2(x))


class Merge(nn.Module):
    """Patch merging: (N, H, W, C) -> (N, H / 2, W / 2, outputs)."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.norm, self.reduction = nn.LayerNorm(4 * width), nn.Linear(4 * width, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        x = x.unflatten(1, (-1, 2)).unflatten(3, (-1, 2)).permute(0, 1, 3, 4, 2, 5).flatten(3)
        return self.reduction(self.norm(x))


class Stage(nn.Module):
    """A stage of SimMIM's encoder; `side`: that of the first stage's maps."""

    def __init__(self, config: SimMimConfig, number: int, side: int) -> None:
        super().__init__()
        width = config.width * 2**number
        for _ in range(number):
            side = -(-side // 2)
        self.downsample = Merge(width // 2, width) if number else nn.Identity()
        self.blocks = nn.Sequential(
            *(Block(width, config.heads[number], config.window, side, at % 2 == 1) for at in range(config.depths[number]))
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))


class SimMim(MaskedModel):
    """Each further stage has half the side and twice the width. The loss is the absolute error over hidden pixels."""

    def __init__(self, config: SimMimConfig, size: int, cell: int) -> None:
        super().__init__(size, cell)
        last = len(config.depths) - 1
        if cell % config.patch or (size // config.patch) % 2**last:
            raise ValueError(
                f"patch: {config.patch} px must divide cells of {cell} px, and {2**last} patches images of {size} px"
            )
        self.repeat, width = cell // config.patch, config.width
        self.embed = nn.Conv2d(3, width, config.patch, stride=config.patch)
        self.norm = nn.LayerNorm(width)
        self.unknown = token(width)
        self.stages = nn.Sequential(*(Stage(config, stage, size // config.patch) for stage in range(last + 1)))
        self.leave = nn.LayerNorm(width * 2**last)
        stride = config.patch * 2**last
        self.paint = nn.Sequential(nn.Conv2d(width * 2**last, 3 * stride**2, 1), nn.PixelShuffle(stride))

    def encode(self, images: Tensor, hidden: Tensor) -> Tensor:
        """The last map: (N, C, h, h)."""
        tokens = self.norm(self.embed(normalise(images)).permute(0, 2, 3, 1))  # (N, h, h, width)
        masked = hidden.repeat_interleave(self.repeat, 1).repeat_interleave(self.repeat, 2)[..., None]
        encoded: Tensor = self.leave(self.stages(torch.where(masked, self.unknown.to(tokens.dtype), tokens)))
        return encoded.permute(0, 3, 1, 2)

    def forward(self, images: Tensor, hidden: Tensor, generator: torch.Generator | None = None) -> Prediction:
        self.check_inputs(images, hidden)
        values = self.paint(self.encode(images, hidden)).float()
        error = patches(F.l1_loss(values, normalise(images), reduction="none"), self.cell).mean(-1)
        return Prediction(picture=picture_of(values), loss=over_hidden(error, hidden.flatten(1)))

    def represent(self, images: Tensor) -> Tensor:
        """The mean over the last map."""
        unmasked = torch.zeros(len(images), self.side, self.side, dtype=torch.bool, device=images.device)
        return self.encode(images, unmasked).mean((2, 3))
