"""How landscapes measure likeness. No torch: parameters are checked without it."""

from typing import Literal

from pydantic import Field

from relume.core.config import config


@config
class Alike:
    """Weights of the terms, and the network that LPIPS looks through."""

    mse: float = Field(gt=0)
    lpips: float = Field(ge=0)  # 0 costs nothing
    judge: Literal["alex", "vgg"]  # S1's vgg, which takes thirty times as long
