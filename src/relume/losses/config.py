"""Section `losses`: one weight per term of the objective, and how each of them measures."""

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
    """The weights. 0 costs nothing: neither the term nor the networks that only it needs are computed."""

    feature: NonNegative = 0.0  # the target's features at the inverted taps
    guide: NonNegative = 0.0  # the coarse picture that a linear map, fitted on the training split, reads from these features
    ref: NonNegative = 0.0  # what foreign networks see in an earlier group's reconstructions (multi-objective inversion)
    avg: NonNegative = 0.0  # what foreign networks see in this run's own restarts, taken together (multi-objective inversion)
    # another embedding, as a learned map predicts it from these features (multi-objective inversion's sclip)
    surrogate: NonNegative = 0.0
    logits: NonNegative = 0.0  # what the inverted network's own head says
    batchnorm: NonNegative = 0.0  # statistics that the inverted network's batch normalisations expect (DeepInversion)
    tv: NonNegative = 0.0  # total variation: natural pictures are piecewise smooth
    alpha_norm: NonNegative = 0.0  # keeps colours near mid-grey, where most pictures are
    clip: NonNegative = 0.0  # the picture's CLIP embedding: an oracle unless that network is the inverted one
    lpips: NonNegative = 0.0  # uses the original: an oracle
    ssim: NonNegative = 0.0  # uses the original: an oracle
    pixel: NonNegative = 0.0  # uses the original: an oracle

    @property
    def active(self) -> dict[str, float]:
        """Those that are not 0."""
        return {name: weight for name, weight in vars(self).items() if weight > 0}


@config
class DistanceTerm:
    distance: Distance


@config
class ForeignTerm:
    """Which foreign embeddings, how they are made one, and what becomes of their last ReLU."""

    networks: dict[Fetched, dict[Annotated[str, ForeignTap()], Weight]]  # network -> tap, named as after its ReLU -> weight
    distance: Distance
    aggregate: Literal["mean", "median", "trimmed_mean", "cluster", "agreement"]
    policy: Literal["as_is", "no_relu", "relu_after", "smart"]

    def __post_init__(self) -> None:
        if not self.networks or not all(self.networks.values()):
            raise ValueError("networks: at least one network with one tap is wanted")

    def looks_at(self, tap: str) -> str:
        """The tap that is computed: all policies but `as_is` want it from before its ReLU."""
        return tap if self.policy == "as_is" else f"{tap}_pre"


@config
class ClipTerm:
    network: Annotated[str, Entry(("weights.networks",)), HasTap("pool")]  # clip_vit_l_14, … or any open_clip <model>/<tag>
    distance: Distance


@config
class GuideTerm:
    grid: int = Field(ge=1, le=64)  # the coarse picture's side
    ridge: float = Field(gt=0)  # of the linear map: large where features say little about colours
    pictures: int = Field(ge=2)  # of the training split, each with its mirror image
    reach: Literal[1, 3, 5]  # a cell reads this many positions of a feature map each way; pooled features are read whole


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
            raise ValueError(f"windows: odd sizes are wanted, at least one; got {list(self.windows)}")


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
