"""Sections `invert_optimise` and `recipes`: the five nouns of an inversion, and the variations of it that have names."""

from typing import Annotated, Any, Literal

from pydantic import Field

from relume.core.config import build, config
from relume.losses.config import Terms

Weight = Annotated[float, Field(gt=0)]
Factor = Annotated[float, Field(ge=0)]
Pair = tuple[Annotated[int, Field(ge=0)], Annotated[float, Field(gt=0)]]
SizePair = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=8)]]


@config
class Pixels:
    """The picture itself; values are kept in [0, 1] by projection after each step, or by a sigmoid."""

    kind: Literal["pixels"]
    box: Literal["projection", "sigmoid"]


@config
class Fourier:
    """A spectrum scaled like natural images, in decorrelated colours, through a sigmoid (lucid): all frequencies move alike."""

    kind: Literal["fourier"]
    decay: float = Field(ge=0, le=2)  # amplitude falls as 1 / frequency^decay; 1 is what natural images do


@config
class Init:
    """Where the picture begins. A recipe whose `start` is an earlier group begins there, with this noise on top."""

    mean: float = Field(ge=0, le=1)  # grey level
    std: float = Field(ge=0)  # of the gaussian noise around it, drawn per id and restart; restarts differ only by it


@config
class Views:
    """What the networks see: the picture shifted by up to `jitter` pixels, drawn per sample. 0: the picture itself."""

    jitter: int = Field(ge=0, le=64)


@config
class Optimiser:
    rule: Literal["adam", "sgd"]
    normalise_gradient: bool  # to length 1 per sample, safe at 0 (with sgd: S0's rule)
    learning_rate: tuple[Pair, ...]  # [[step, value], …]: the value from that step on
    warmup: int = Field(ge=0)  # steps over which it rises from 0
    cosine: bool  # falls to 0 along half a cosine over the run

    def __post_init__(self) -> None:
        check_schedule("learning_rate", [step for step, _ in self.learning_rate])


@config
class InvertOptimise:
    """One inversion by optimisation."""

    dataset: str
    split: str
    count: int | None = Field(ge=1)  # the first pictures of the split; null: all of them
    network: str
    taps: dict[str, Weight]  # tap -> its weight within the feature term
    terms: Terms
    parametrisation: Annotated[Pixels | Fourier, Field(discriminator="kind")]
    init: Init
    views: Views
    optimiser: Optimiser
    sizes: tuple[SizePair, ...]  # [[step, pixels], …]: growth; the data's own size where empty
    steps: int = Field(ge=1)
    restarts: int = Field(ge=1)  # per picture, in one batch; the objective chooses
    trace_every: int = Field(ge=1)  # steps between rows of trace.csv

    def __post_init__(self) -> None:
        if not self.taps:
            raise ValueError("taps: at least one tap is wanted")
        if self.sizes:
            check_schedule("sizes", [step for step, _ in self.sizes])
            if list(self.sizes) != sorted(self.sizes, key=lambda pair: pair[1]):
                raise ValueError("sizes: pictures only grow")


def check_schedule(key: str, steps: list[int]) -> None:
    if not steps or steps[0] != 0 or any(after <= before for before, after in zip(steps, steps[1:], strict=False)):
        raise ValueError(f"{key}: pairs [step, value] are wanted, from step 0 on, steps rising; got steps {steps}")


@config
class Recipe:
    """What a recipe says besides its differences from `invert_optimise`."""

    start: str  # a group's folder to begin from, or the images' folder: begin from `init`
    losses: dict[str, Factor]  # factors on the weights of `losses`; 0 switches a term off


def variation(base: dict[str, Any], recipe: dict[str, Any], path: str) -> tuple[InvertOptimise, Recipe]:
    """`base` (the section as plain data) with a recipe's differences laid over it."""
    own = {key: value for key, value in recipe.items() if key in Recipe.__dataclass_fields__}
    differences = {key: value for key, value in recipe.items() if key not in own}
    merged = merge(base, differences)
    return build(InvertOptimise, merged, path), build(Recipe, {"losses": {}, **own}, path)


def merge(base: dict[str, Any], differences: dict[str, Any]) -> dict[str, Any]:
    """Maps are merged key by key, but for `taps` and for a map of another `kind`, which replace theirs; all else replaces."""
    result = dict(base)
    for key, value in differences.items():
        old = base.get(key)
        if (
            isinstance(value, dict)
            and isinstance(old, dict)
            and key != "taps"
            and value.get("kind", old.get("kind")) == old.get("kind")
        ):
            result[key] = merge(old, value)
        else:
            result[key] = value
    return result
