"""What a decoder is made of, as `train_decoder` says it: which architecture, and that one's own numbers."""

from typing import Annotated, Literal

from pydantic import Field

from relume.core.config import config


@config
class PerLayer:
    """S2's decoder of one tap, after Dosovitskiy & Brox; its widths are its own."""

    kind: Literal["per_layer"]


@config
class ConvOnly:
    """S3's decoder of several maps at their smallest size; its widths are its own."""

    kind: Literal["conv_only"]


@config
class MultiScale:
    """Taps of any kind and number, each at the resolution that it has."""

    kind: Literal["multi_scale"]
    width: int = Field(ge=8, le=1024, multiple_of=8)  # channels at half the finest size; half of it at that size
    finest: int | None = Field(ge=4)  # px at which the last paint is laid on, enlarged from there; null: the picture's size


Architecture = Annotated[PerLayer | ConvOnly | MultiScale, Field(discriminator="kind")]
