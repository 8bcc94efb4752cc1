"""Sections `invert_optimise` and `recipes`, named variations of an inversion by optimisation."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from relume.core.config import build, config, merge
from relume.core.files import NONE
from relume.core.references import AtMost, Count, Extracted, Folder, Sees, Split, Tap, TheDataset
from relume.losses.config import Losses, Terms, Weight

Pair = tuple[Annotated[int, Field(ge=0)], Annotated[float, Field(gt=0)]]
LISTED = ("taps", "networks")  # mappings that a recipe replaces as a whole
SURROGATES = "models/surrogate"
GROUP = Folder("data/reconstructions", ("invert_decoder", "recipes"), none=True)  # an earlier one
SizePair = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=8)]]


@config
class Pixels:
    """Pixel values; kept in [0, 1] by projection after each step, by a sigmoid, or unbounded."""

    kind: Literal["pixels"]
    # none: ImageNet-normalised values without bounds, as in multi-objective inversion
    box: Literal["projection", "sigmoid", "none"]


@config
class Fourier:
    """A spectrum scaled like natural images, in decorrelated colours, through a sigmoid (lucid)."""

    kind: Literal["fourier"]
    decay: float = Field(ge=0, le=2)  # amplitude ~ 1 / frequency^decay; about 1 for natural images


@config
class Prior:
    """Deep image prior (arXiv 1711.10925): the weights of an untrained network per image, with fixed noise as input."""

    kind: Literal["prior"]
    channels: int = Field(ge=4, le=256)
    levels: int = Field(ge=1, le=6)  # each has half the side of the last


@config
class Latent:
    """A generator's latent space."""

    kind: Literal["latent"]
    space: Literal["z", "w", "w_plus"]  # w_plus: a w for every layer
    start: Literal["random", "mean", "given"]  # a sample per row, the mean w, or given latents
    noise: bool  # optimise the noise maps, too; false: the stored ones
    noise_reg: float = Field(default=0.0, ge=0)  # weight of the noise maps' autocorrelation; published 1e5
    w_noise: float = Field(default=0.0, ge=0)  # initial noise on the latent, in stds; 0.05 published
    pivotal: float | None = Field(default=None, gt=0, lt=1)  # share of the run after which the generator's weights are optimised
    shake_until: float = Field(default=0.75, gt=0, le=1)  # share of the run after which w_noise is 0

    def __post_init__(self) -> None:
        if (self.space, self.start) == ("z", "mean"):
            raise ValueError("start: mean needs space w or w_plus; allowed for z: random, given")
        if self.noise_reg and not self.noise:
            raise ValueError("noise_reg: needs noise: true; it is a penalty on optimised noise maps")


@config
class Own:
    """A parametrisation or view of the user's own: a class or a function, called with `options`."""

    kind: Literal["own"]
    name: str  # <module>:<name>, or that of an entry point relume.parametrisations or relume.views
    options: dict[str, Any] = Field(default_factory=dict)


Parametrisation = Annotated[Pixels | Fourier | Prior | Latent | Own, Field(discriminator="kind")]


@config
class Init:
    """The initial image: base + std * noise, blended with more noise. A recipe's `start`, if it is a group, replaces the base."""

    base: Literal["grey", "guide"]  # guide: the prediction of terms.guide
    mean: float = Field(ge=0, le=1)  # the grey level
    std: float = Field(ge=0)  # of Gaussian noise on the base, per id and restart; restarts differ only in it
    # multi-objective inversion's factor f: (base + f * noise) / (1 + f), noise with the mean and std of ImageNet's pixels
    noising: float = Field(ge=0)


@config
class Jitter:
    """A cyclic shift."""

    kind: Literal["jitter"]
    pixels: int = Field(ge=1, le=64)


@config
class Affine:
    """Rotation, shift and scaling about the centre, with border padding."""

    kind: Literal["affine"]
    probability: float = Field(gt=0, le=1)  # of the transform, per sample
    degrees: float = Field(ge=0, le=180)  # at most, in both directions
    translate: float = Field(ge=0, le=0.5)  # at most, in both directions, as a share of the side
    scale: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]  # smallest, largest


@config
class Views:
    """Augmented views of the image, the input of the networks: these transforms in order, drawn per sample."""

    transforms: tuple[Annotated[Jitter | Affine | Own, Field(discriminator="kind")], ...]  # empty: the image itself
    ensemble: int = Field(ge=1)  # views per image and step; their objectives are averaged


@config
class Optimiser:
    rule: Literal["sgd", "adam", "lbfgs"]
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]]  # of adam
    normalise_gradient: bool  # to norm 1 per sample (with sgd: multi-objective inversion's rule)
    learning_rate: tuple[Pair, ...]  # [[step, value], …]: the value from that step on
    warmup: int = Field(ge=0)  # steps of linear increase from 0
    cosine: bool  # cosine decay to 0 over the run
    cooldown: int = Field(default=0, ge=0)  # last steps, with a cosine decay to 0

    def __post_init__(self) -> None:
        check_schedule("learning_rate", [step for step, _ in self.learning_rate])
        if self.cosine and self.cooldown:
            raise ValueError(f"cooldown: must be 0 with cosine: true, got {self.cooldown}")
        if self.rule == "lbfgs" and self.normalise_gradient:
            raise ValueError(f"normalise_gradient: must be false with rule {self.rule}")


@config
class Stop:
    """Stops an image when its best objective has not decreased by `tolerance` (relative) in `patience` steps."""

    patience: int | None = Field(ge=1)  # null: never
    tolerance: float = Field(ge=0, lt=1)


@config
class InvertOptimise:
    """Settings of all inversions by optimisation; recipes override them."""

    dataset: TheDataset
    split: Annotated[str, Split()]
    count: Annotated[int | None, Count()] = Field(ge=1)  # the first images of the split; null: all
    network: Annotated[Extracted, Sees()]
    taps: dict[Annotated[str, Tap()], Weight]  # tap -> weight in the feature term
    terms: Terms
    parametrisation: Parametrisation
    switches: tuple[tuple[Annotated[int, Field(ge=1)], Parametrisation], ...]  # [[step, space], …]: continue in another space
    init: Init
    views: Views
    optimiser: Optimiser
    stop: Stop
    sizes: tuple[SizePair, ...]  # [[step, pixels], …]: growth; empty: the dataset's size
    steps: int = Field(ge=1)
    restarts: Annotated[int, AtMost("run.micro_batch")] = Field(ge=1)  # per image, in one batch; the best objective is selected
    trace_every: int = Field(ge=1)  # steps between rows of trace.csv

    def __post_init__(self) -> None:
        if not self.taps:
            raise ValueError("taps: needs at least one tap")
        for key, pairs in (("sizes", self.sizes), ("switches", self.switches), ("optimiser", self.optimiser.learning_rate)):
            if pairs and pairs[-1][0] >= self.steps:
                raise ValueError(f"{key}: its last step, {pairs[-1][0]}, must be below steps, {self.steps}")
        if self.views.ensemble > 1 and not self.views.transforms:
            raise ValueError(f"views.ensemble: {self.views.ensemble} views need views.transforms, which is empty")
        if self.sizes:
            check_schedule("sizes", [step for step, _ in self.sizes])
            if list(self.sizes) != sorted(self.sizes, key=lambda pair: pair[1]):
                raise ValueError("sizes: must not decrease")
            if len(self.sizes) > 1 and isinstance(self.parametrisation, Prior):
                raise ValueError("sizes: a deep image prior has one size: its kernels depend on it")
        if self.switches:
            check_schedule("switches", [0, *(step for step, _ in self.switches)])
            if any(isinstance(space, Prior | Latent) for _, space in self.switches):
                raise ValueError("switches: cannot switch to prior or latent: they cannot encode an image")

    @property
    def own(self) -> list[tuple[str, str]]:
        """Kind and name of what the user adds."""
        spaces = (self.parametrisation, *(space for _, space in self.switches))
        kinds = {"parametrisations": spaces, "views": self.views.transforms}
        return [(kind, part.name) for kind, parts in kinds.items() for part in parts if isinstance(part, Own)]


def check_schedule(key: str, steps: list[int]) -> None:
    if not steps or steps[0] != 0 or any(after <= before for before, after in zip(steps, steps[1:], strict=False)):
        raise ValueError(f"{key}: needs pairs [step, value] from step 0 on, steps increasing; got steps {steps}")


@config
class InversionConfig(InvertOptimise):
    """One inversion by optimisation, with the weights of its terms."""

    losses: Losses

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.losses.active:
            raise ValueError("losses: at least one weight must not be 0")


@config
class Recipe:
    """Further inputs of a recipe. data/none: no input."""

    start: Annotated[str, GROUP] = str(NONE)  # the folder of a group with the initial images; none: `init`
    reference: Annotated[str, GROUP] = str(NONE)  # the folder of a group for the `ref` term
    surrogate: Annotated[str, Folder(SURROGATES, ("train_surrogate.models",), none=True)] = str(NONE)  # for the `surrogate` term
    weights: str = str(NONE)  # models/weights/<network>: a further network that its terms need; models/weights: all networks


def variation(
    section: Mapping[str, Any], losses: Mapping[str, Any], recipe: Mapping[str, Any], path: str
) -> tuple[InversionConfig, Recipe]:
    """A recipe merged into `invert_optimise` and `losses`, all as plain data; `path` is the recipe's key."""
    own = {key: value for key, value in recipe.items() if key in Recipe.__dataclass_fields__}
    differences = {key: value for key, value in recipe.items() if key not in own}
    merged = merge_recipe({**section, "losses": losses}, differences)
    return build(InversionConfig, merged, path), build(Recipe, own, path)


def merge_recipe(base: Mapping[str, Any], differences: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's differences merged into a section."""
    return merge(base, differences, LISTED)
