"""A U-net that corrects the linear prediction of hidden cells: convolutions at a half, a quarter and an eighth of the side."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from relume.data.masks import in_pixels
from relume.methods.masked.base import MaskedModel, Prediction, log_error, picture_of
from relume.methods.masked.config import UnetConfig

GROUPS = 4  # of the norms


class Residual(nn.Module):
    """It begins as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, width)
        self.enter, self.leave = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        for weights in self.leave.parameters():
            nn.init.zeros_(weights)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.leave(F.silu(self.enter(F.silu(self.norm(x)))))


def stack(width: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(Residual(width) for _ in range(depth)))


class Unet(MaskedModel):
    """The inputs are the image with the linear prediction in hidden cells, and the mask. It begins as the linear prediction."""

    def __init__(self, config: UnetConfig, size: int, cell: int) -> None:
        super().__init__(size, cell, linear=True)
        fine, coarse = config.width, 2 * config.width
        self.enter = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(16, fine, 3, padding=1), Residual(fine))
        self.down = nn.Sequential(nn.Conv2d(fine, coarse, 2, stride=2), stack(coarse, config.depth))
        self.middle = nn.Sequential(
            nn.Conv2d(coarse, coarse, 2, stride=2),
            stack(coarse, config.depth + 1),
            nn.ConvTranspose2d(coarse, coarse, 2, stride=2),
        )
        self.up = nn.Sequential(Residual(coarse), nn.ConvTranspose2d(coarse, fine, 2, stride=2))
        last = nn.Conv2d(fine, 12, 3, padding=1)
        for weights in last.parameters():
            nn.init.zeros_(weights)
        self.leave = nn.Sequential(Residual(fine), last, nn.PixelShuffle(2))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(self, begun: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Maps at a half and a quarter of the side."""
        inputs = torch.cat([begun, in_pixels(hidden, self.cell).to(begun)], dim=1).contiguous(memory_format=torch.channels_last)
        fine = self.enter(inputs)
        coarse = self.down(fine)
        return fine, coarse + self.middle(coarse)

    def forward(self, images: Tensor, hidden: Tensor, generator: torch.Generator | None = None) -> Prediction:
        self.check_inputs(images, hidden)
        begun = self.begin(images, hidden)
        fine, coarse = self.features(begun, hidden)
        values = begun + self.leave(fine + self.up(coarse)).float()
        return Prediction(picture=picture_of(values), loss=log_error(values, images, hidden))

    def represent(self, images: Tensor) -> Tensor:
        """The mean over the map of a quarter of the side."""
        unmasked = torch.zeros(len(images), self.side, self.side, dtype=torch.bool, device=images.device)
        return self.features(self.begin(images, unmasked), unmasked)[1].mean((2, 3))
