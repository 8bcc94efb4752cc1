"""What a generator and its discriminator are made of, as `train_gan` says it: which kind, and that one's own numbers."""

from typing import Annotated, Literal

from pydantic import Field

from relume.core.config import config


@config
class Dcgan:
    """S0's: latent 128 or 2048, width 64 to 512."""

    kind: Literal["dcgan"]
    latent: int = Field(ge=1)  # numbers of z
    width: int = Field(ge=1)  # channels at half the picture's size, doubled towards the smallest maps


@config
class Style:
    """A style-based generator (StyleGAN2) with a residual discriminator."""

    kind: Literal["style"]
    latent: int = Field(ge=1)  # numbers of z
    style: int = Field(ge=1)  # numbers of w
    mapping: int = Field(ge=1)  # layers from z to w; published 8, 2 for small data
    width: int = Field(ge=1)  # channels at the picture's size, doubled towards the smallest maps
    widest: int = Field(ge=1)  # channels at most

    def __post_init__(self) -> None:
        if self.widest < self.width:
            raise ValueError(f"widest: at least the width, {self.width}, is wanted; got {self.widest}")


GanArchitecture = Annotated[Dcgan | Style, Field(discriminator="kind")]
