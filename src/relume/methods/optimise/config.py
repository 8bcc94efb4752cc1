"""Sections `invert_optimise` and `recipes`: the five nouns of an inversion, and the variations of it that have names."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from relume.core.config import build, config, merge
from relume.core.files import NONE
from relume.core.references import AtMost, Count, Entry, Extracted, Folder, Sees, Split, Tap
from relume.losses.config import Losses, Terms, Weight

Pair = tuple[Annotated[int, Field(ge=0)], Annotated[float, Field(gt=0)]]
LISTED = ("taps", "networks")  # maps of things by name: who states one states them all
SURROGATES = "models/surrogate"
GROUP = Folder("data/reconstructions", ("invert_decoder", "recipes"), none=True)  # an earlier one
SizePair = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=8)]]


@config
class Pixels:
    """The picture itself; values are kept in [0, 1] by projection after each step, by a sigmoid, or not at all."""

    kind: Literal["pixels"]
    # none: ImageNet-normalised values without bounds, as in multi-objective inversion
    box: Literal["projection", "sigmoid", "none"]


@config
class Fourier:
    """A spectrum scaled like natural images, in decorrelated colours, through a sigmoid (lucid): all frequencies move alike."""

    kind: Literal["fourier"]
    decay: float = Field(ge=0, le=2)  # amplitude falls as 1 / frequency^decay; 1 is what natural images do


@config
class Pyramid:
    """A sum of pictures of rising resolution, in decorrelated colours, through a sigmoid (lucid's Laplacian pyramid)."""

    kind: Literal["pyramid"]
    levels: int = Field(ge=1, le=8)  # each has half the side of the one before


@config
class Prior:
    """Deep image prior (arXiv 1711.10925): the weights of an untrained network, one network per picture, on fixed noise."""

    kind: Literal["prior"]
    channels: int = Field(ge=4, le=256)
    levels: int = Field(ge=1, le=6)  # of resolution, each half of the one before


@config
class Latent:
    """What a generator makes pictures of, where there is a generator."""

    kind: Literal["latent"]
    space: Literal["z", "w", "w_plus"]  # w_plus: a w for every layer
    start: Literal["random", "mean", "given"]  # a draw for every row, the mean w, or what was given with the problem
    noise: bool  # its noise maps are moved, too; else they are the stored ones
    w_reg: float = Field(default=0.0, ge=0)  # weight of the squared distance from the mean latent, in units of its variance
    noise_reg: float = Field(default=0.0, ge=0)  # weight of what neighbours in noise maps agree about; published 1e5
    w_noise: float = Field(default=0.0, ge=0)  # noise on the latent at the beginning, in units of its deviation; published 0.05
    pivotal: float | None = Field(default=None, gt=0, lt=1)  # share of the run after which the generator's weights move instead
    shake_until: float = Field(default=0.75, gt=0, le=1)  # share of the run after which it is gone

    def __post_init__(self) -> None:
        if (self.space, self.start) == ("z", "mean"):
            raise ValueError("start: the mean latent is a w, and no z makes it: random or given is wanted")
        if self.noise_reg and not self.noise:
            raise ValueError("noise_reg: needs noise: true, since it weighs noise maps that are optimised")


@config
class Own:
    """A parametrisation or view of the user's own: a class or a function, called with `options`."""

    kind: Literal["own"]
    name: str  # <module>:<name>, or that of an entry point relume.parametrisations or relume.views
    options: dict[str, Any] = Field(default_factory=dict)


Parametrisation = Annotated[Pixels | Fourier | Pyramid | Prior | Latent | Own, Field(discriminator="kind")]


@config
class Init:
    """Where the picture begins: base + std * noise, blended with more noise. A recipe whose `start` is an earlier group takes
    that group's pictures as its base."""

    base: Literal["grey", "mean_image", "guide"]  # mean_image: of the training split; guide: what terms.guide reads
    mean: float = Field(ge=0, le=1)  # the grey level
    std: float = Field(ge=0)  # of gaussian noise on the base, drawn per id and restart; restarts differ only by it
    # multi-objective inversion's factor f: (base + f * noise) / (1 + f), the noise as bright and wide as ImageNet's pixels
    noising: float = Field(ge=0)


@config
class Jitter:
    """A cyclic shift: nothing is lost and gradients stay exact."""

    kind: Literal["jitter"]
    pixels: int = Field(ge=1, le=64)


@config
class Affine:
    """Rotated, shifted and scaled about the centre; the border is continued."""

    kind: Literal["affine"]
    probability: float = Field(gt=0, le=1)  # that a sample is moved at all
    degrees: float = Field(ge=0, le=180)  # either way
    translate: float = Field(ge=0, le=0.5)  # of the side, either way
    scale: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]  # smallest, largest


@config
class Colour:
    """Each channel shifted and stretched at random, in units of ImageNet's deviation (Plug-In Inversion, arXiv 2201.12961)."""

    kind: Literal["colour"]
    shift: float = Field(ge=0)  # uniform, either way
    stretch: float = Field(ge=0)  # by e^u, u uniform, either way


@config
class Views:
    """What the networks see: the picture through these transforms, one after the other, drawn per sample."""

    transforms: tuple[Annotated[Jitter | Affine | Colour | Own, Field(discriminator="kind")], ...]  # none: the picture itself
    ensemble: int = Field(ge=1)  # views of each picture in a step; their objectives are averaged


@config
class Optimiser:
    rule: Literal["sgd", "adam", "signed_adam", "lbfgs"]
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]]  # of both adams
    normalise_gradient: bool  # to length 1 per sample, safe at 0 (with sgd: multi-objective inversion's rule)
    learning_rate: tuple[Pair, ...]  # [[step, value], …]: the value from that step on
    warmup: int = Field(ge=0)  # steps over which it rises from 0
    cosine: bool  # falls to 0 along half a cosine over the run
    cooldown: int = Field(default=0, ge=0)  # last steps, over which it falls to 0 along half a cosine

    def __post_init__(self) -> None:
        check_schedule("learning_rate", [step for step, _ in self.learning_rate])
        if self.cosine and self.cooldown:
            raise ValueError("cooldown: the rate falls already (cosine: true)")
        if self.rule in ("lbfgs", "signed_adam") and self.normalise_gradient:
            raise ValueError(f"normalise_gradient: {self.rule} does not go with it: false is wanted")


@config
class Stop:
    """A picture rests when its best objective has not fallen by `tolerance`, relatively, in `patience` steps."""

    patience: int | None = Field(ge=1)  # null: never
    tolerance: float = Field(ge=0, lt=1)


@config
class InvertOptimise:
    """What inversions by optimisation have in common, unless a recipe says otherwise."""

    dataset: Annotated[str, Entry(("extract.datasets",))]
    split: Annotated[str, Split()]
    count: Annotated[int | None, Count()] = Field(ge=1)  # the first pictures of the split; null: all of them
    network: Annotated[Extracted, Sees()]
    taps: dict[Annotated[str, Tap()], Weight]  # tap -> its weight within the feature term
    terms: Terms
    parametrisation: Parametrisation
    switches: tuple[tuple[Annotated[int, Field(ge=1)], Parametrisation], ...]  # [[step, space], …]: the picture goes on in it
    init: Init
    views: Views
    relu_backward: Literal["exact", "identity"]  # identity: dead units pass gradients too (robustness)
    optimiser: Optimiser
    stop: Stop
    sizes: tuple[SizePair, ...]  # [[step, pixels], …]: growth; the data's own size where empty
    steps: int = Field(ge=1)
    restarts: Annotated[int, AtMost("run.micro_batch")] = Field(ge=1)  # per picture, in one batch; the objective chooses
    trace_every: int = Field(ge=1)  # steps between rows of trace.csv

    def __post_init__(self) -> None:
        if not self.taps:
            raise ValueError("taps: at least one tap is wanted")
        for key, pairs in (("sizes", self.sizes), ("switches", self.switches), ("optimiser", self.optimiser.learning_rate)):
            if pairs and pairs[-1][0] >= self.steps:
                raise ValueError(f"{key}: its last step, {pairs[-1][0]}, never comes: there are {self.steps} (`steps`)")
        if self.views.ensemble > 1 and not self.views.transforms:
            raise ValueError("views.ensemble: several views are wanted, and no transforms to tell them apart")
        if self.sizes:
            check_schedule("sizes", [step for step, _ in self.sizes])
            if list(self.sizes) != sorted(self.sizes, key=lambda pair: pair[1]):
                raise ValueError("sizes: pictures only grow")
            if len(self.sizes) > 1 and isinstance(self.parametrisation, Prior):
                raise ValueError("sizes: a deep image prior does not grow: its kernels would mean something else")
        if self.switches:
            check_schedule("switches", [0, *(step for step, _ in self.switches)])
            if any(isinstance(space, Prior | Latent) for _, space in self.switches):
                raise ValueError("switches: a picture cannot be written as a deep image prior or a latent; begin with it instead")

    @property
    def own(self) -> list[tuple[str, str]]:
        """Kind and name of what the user adds."""
        spaces = (self.parametrisation, *(space for _, space in self.switches))
        kinds = {"parametrisations": spaces, "views": self.views.transforms}
        return [(kind, part.name) for kind, parts in kinds.items() for part in parts if isinstance(part, Own)]


def check_schedule(key: str, steps: list[int]) -> None:
    if not steps or steps[0] != 0 or any(after <= before for before, after in zip(steps, steps[1:], strict=False)):
        raise ValueError(f"{key}: pairs [step, value] are wanted, from step 0 on, steps rising; got steps {steps}")


@config
class InversionConfig(InvertOptimise):
    """One inversion by optimisation, with the weights of its terms."""

    losses: Losses

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.losses.active:
            raise ValueError("losses: every weight is 0, so there is nothing to minimise")


@config
class Recipe:
    """What a recipe uses besides the features. data/none: nothing."""

    start: Annotated[str, GROUP] = str(NONE)  # the folder of a group to begin from; none: it begins from `init`
    reference: Annotated[str, GROUP] = str(NONE)  # the folder of a group whose images the `ref` term compares with
    surrogate: Annotated[str, Folder(SURROGATES, ("train_surrogate.models",), none=True)] = str(NONE)  # of that term
    weights: str = str(NONE)  # models/weights/<network>: a further network that its terms need; models/weights: all of them


def variation(
    section: Mapping[str, Any], losses: Mapping[str, Any], recipe: Mapping[str, Any], path: str
) -> tuple[InversionConfig, Recipe]:
    """A recipe laid over `invert_optimise` and `losses`, all as plain data; `path` is the recipe's key."""
    own = {key: value for key, value in recipe.items() if key in Recipe.__dataclass_fields__}
    differences = {key: value for key, value in recipe.items() if key not in own}
    merged = merge_recipe({**section, "losses": losses}, differences)
    return build(InversionConfig, merged, path), build(Recipe, own, path)


def merge_recipe(base: Mapping[str, Any], differences: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's differences laid over a section."""
    return merge(base, differences, LISTED)
