"""Section `losses`: one weight per term of the objective, and `invert_optimise.terms`: how each of them measures."""

from typing import Literal

from pydantic import Field

from relume.core.config import config


@config
class Losses:
    """The weights. 0 costs nothing: neither the term nor the networks that only it needs are computed."""

    feature: float = Field(ge=0)  # the target's features at the inverted taps
    tv: float = Field(ge=0)  # total variation: natural pictures are piecewise smooth
    alpha_norm: float = Field(ge=0)  # keeps colours near mid-grey, where most pictures are
    lpips: float = Field(ge=0)  # looks at the picture: an oracle
    pixel: float = Field(ge=0)  # looks at the picture: an oracle

    def times(self, factors: dict[str, float]) -> dict[str, float]:
        """Weights of a recipe, which multiplies these; terms that end at 0 are left out."""
        weights = {name: getattr(self, name) * factors.get(name, 1.0) for name in self.__dataclass_fields__}
        return {name: weight for name, weight in weights.items() if weight > 0}


@config
class FeatureTerm:
    distance: Literal["mse", "dim_mse", "relative_l2", "cosine"]


@config
class TvTerm:
    exponent: float = Field(ge=1, le=3)  # 1 keeps edges, 2 blurs them


@config
class AlphaTerm:
    exponent: float = Field(ge=1, le=12)  # 6 in deep-goggle


@config
class LpipsTerm:
    network: Literal["alex", "vgg"]


@config
class Terms:
    feature: FeatureTerm
    tv: TvTerm
    alpha_norm: AlphaTerm
    lpips: LpipsTerm
