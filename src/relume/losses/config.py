"""Section `losses`, the weight of each term of the objective, and `invert_optimise.terms`, the terms' settings."""

from typing import Annotated, Literal

from pydantic import Field

from relume.core.config import config
from relume.core.references import Entry, Fetched, ForeignTap, HasTap, Lpips

Weight = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
LPIPS = {"alex": "alexnet_conv", "vgg": "vgg16_conv", "squeeze": "squeezenet1_1"}  # LPIPS's name of a network -> ours
Distance = Literal["mse", "dim_mse", "relative_l2", "cosine"]


@config
class Losses:
    """Weights of the terms. A term of weight 0 is not computed, nor are networks that only it needs."""

    feature: NonNegative = 0.0  # distance to the target features at the inverted taps
    guide: NonNegative = 0.0  # distance to a coarse image: the recipe's start, or the prediction of a fitted linear map
    ref: NonNegative = 0.0  # other networks' features of an earlier group's reconstructions (multi-objective inversion)
    avg: NonNegative = 0.0  # other networks' features, aggregated over this run's restarts (multi-objective inversion)
    surrogate: NonNegative = 0.0  # an embedding that a trained surrogate predicts (multi-objective inversion's sclip)
    logits: NonNegative = 0.0  # logits of the inverted network's own head
    batchnorm: NonNegative = 0.0  # running statistics of the inverted network's batch normalisations (DeepInversion)
    tv: NonNegative = 0.0  # total variation: natural images are piecewise smooth
    alpha_norm: NonNegative = 0.0  # keeps colours near mid-grey
    clip: NonNegative = 0.0  # the image's CLIP embedding: an oracle unless that network is the inverted one
    lpips: NonNegative = 0.0  # uses the original: an oracle
    ssim: NonNegative = 0.0  # uses the original: an oracle
    pixel: NonNegative = 0.0  # uses the original: an oracle

    @property
    def active(self) -> dict[str, float]:
        return {name: weight for name, weight in vars(self).items() if weight > 0}


@config
class DistanceTerm:
    distance: Distance


@config
class ForeignTerm:
    """Embeddings by other networks: their taps, the aggregate over reconstructions, the treatment of the last ReLU."""

    networks: dict[Fetched, dict[Annotated[str, ForeignTap()], Weight]]  # network -> tap after its ReLU -> weight
    distance: Distance
    aggregate: Literal["mean", "median", "trimmed_mean", "cluster", "agreement"]
    policy: Literal["as_is", "no_relu", "relu_after", "smart"]

    def __post_init__(self) -> None:
        if not self.networks or not all(self.networks.values()):
            raise ValueError("networks: needs at least one network with at least one tap")

    def looks_at(self, tap: str) -> str:
        """The tap to compute: that before the ReLU, except for the policy `as_is`."""
        return tap if self.policy == "as_is" else f"{tap}_pre"


@config
class ClipTerm:
    network: Annotated[str, Entry(("weights.networks",)), HasTap("pool")]  # clip_vit_l_14, … or any open_clip <model>/<tag>
    distance: Distance


@config
class GuideTerm:
    grid: int = Field(ge=1, le=64)  # side of the coarse image
    ridge: float = Field(gt=0)  # penalty of the linear map; larger for features with little colour information
    pictures: int = Field(ge=2)  # training images for the fit, each also mirrored
    reach: Literal[1, 3, 5]  # side of a cell's window of feature-map positions; pooled features are used whole


@config
class TvTerm:
    # (dx^2 + dy^2)^(exponent / 2), or multi-objective inversion's two on mean|dx| + mean|dy|
    penalty: Literal["power", "linear", "squared_relu"]
    exponent: float = Field(ge=1, le=3)  # 1 keeps edges, 2 blurs them


@config
class AlphaTerm:
    exponent: float = Field(ge=1, le=12)  # 6 in deep-goggle


@config
class LpipsTerm:
    network: Annotated[Literal["alex", "vgg", "squeeze"], Lpips()]


@config
class SsimTerm:
    windows: tuple[Annotated[int, Field(ge=3, le=31)], ...]  # odd sides of the gaussian window; several are averaged

    def __post_init__(self) -> None:
        if not self.windows or any(window % 2 == 0 for window in self.windows):
            raise ValueError(f"windows: needs at least one, all odd; got {list(self.windows)}")


@config
class Terms:
    feature: DistanceTerm
    guide: GuideTerm
    ref: ForeignTerm
    avg: ForeignTerm
    surrogate: DistanceTerm
    logits: DistanceTerm
    clip: ClipTerm
    tv: TvTerm
    alpha_norm: AlphaTerm
    lpips: LpipsTerm
    ssim: SsimTerm
