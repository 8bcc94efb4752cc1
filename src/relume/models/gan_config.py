"""What a generator and its discriminator are made of, as `train_gan` says it: which kind, and that one's own numbers.

`stylegan` has no discriminator here: its weights are trained elsewhere, and `import_gan` reads its numbers off their file.
"""

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


@config
class StyleGan1:
    """The first StyleGAN (Karras et al., arXiv 1812.04948), as files hold it."""

    kind: Literal["stylegan"]
    latent: int = Field(ge=1)  # numbers of z; published 512
    style: int = Field(ge=1)  # numbers of w; published 512
    mapping: int = Field(ge=1)  # layers from z to w; published 8
    widths: tuple[int, ...]  # channels at 4 px, 8 px, … the picture's size
    fused: int = Field(ge=8)  # the first side that a transposed convolution doubles to; below, maps are enlarged, then convolved
    bias_last: bool  # what doubles adds its bias after the blur, not before


GanArchitecture = Annotated[Dcgan | Style, Field(discriminator="kind")]  # can be trained
GeneratorArchitecture = Annotated[Dcgan | Style | StyleGan1, Field(discriminator="kind")]  # can be used
