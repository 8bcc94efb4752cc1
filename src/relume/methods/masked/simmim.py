"""SimMIM (Xie et al., arXiv 2111.09886) on a Swin Transformer (Liu et al., arXiv 2103.14030): mask tokens where cells are hidden,
one linear layer to pixels. The stages are timm's."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.methods.masked.base import MaskedModel, Prediction, normalise, over_hidden, patches, picture_of
from relume.methods.masked.config import SimMimConfig
from relume.methods.masked.vit import token


def _stage(config: SimMimConfig, number: int, side: int) -> nn.Module:
    """A stage of the encoder: (N, h, h, C) -> the same, after the first with half the side; `side`: that of the first map."""
    from timm.models.swin_transformer import SwinTransformerStage  # two seconds, which other models do without

    width, before = config.width * 2**number, 2 ** max(0, number - 1)
    stage: nn.Module = SwinTransformerStage(
        width // 2 if number else width,
        width,
        (-(-side // before), -(-side // before)),
        config.depths[number],
        downsample=number > 0,
        num_heads=config.heads[number],
        window_size=config.window,
    )
    return stage


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
        self.stages = nn.Sequential(*(_stage(config, stage, size // config.patch) for stage in range(last + 1)))
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
