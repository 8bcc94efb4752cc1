"""The facts of a network: normalisation, image size, and taps with their modules. Plain data, without torch."""

from dataclasses import dataclass, field
from typing import Any, Literal

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)

Form = Literal["map", "mean", "tokens", "raw", "raw_last"]


@dataclass(frozen=True, kw_only=True)
class Place:
    """The input or output of a module at its `call`-th call in a forward pass: torchvision's blocks reuse their ReLU."""

    module: str
    side: Literal["input", "output"] = "output"
    call: int = 0


@dataclass(frozen=True, kw_only=True)
class Tap:
    """A named activation: (N, channels, H, W) with a stride, (N, channels) without. Several places are concatenated along the
    channels. `form`: "map" is the activation itself, "mean" its mean over positions, "tokens" reshapes a transformer's tokens (N,
    1 + HW, C) without the class token to a map. For user-defined modules, "raw" is the output itself, also tokens (N, L, C), and
    "raw_last" moves the channels of a map (N, H, W, C) to the front."""

    channels: int
    stride: int | None
    places: tuple[Place, ...]
    form: Form = "map"
    activation: Literal["", "relu", "relu6"] = ""  # from `<tap>_pre` to this tap; empty for sums and means


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A network's properties, known without building it."""

    name: str
    builder: str  # a name in `builders.BUILDERS`
    mean: tuple[float, ...] = IMAGENET_MEAN  # one per channel of the image
    std: tuple[float, ...] = IMAGENET_STD
    size: int = 224  # of the training images
    any_size: bool = True  # accepts images of any size; else they are resized to `size`
    min_size: int = 32  # of an image for which all taps exist
    taps: dict[str, Tap]
    variant: str  # the training and the part of the network
    licence: str
    module: str = ""  # of builder `own`: <package or module>:<factory>
    kwargs: dict[str, Any] = field(default_factory=dict)  # of that factory
    file: str = ""  # of its weights
    sha256: str = ""  # of that file


def activation_taps(
    module: str, channels: int, stride: int | None, *, call: int = 0, activation: Literal["relu", "relu6"] = "relu"
) -> tuple[Tap, Tap]:
    """The taps before and after the activation `module`."""
    before = Tap(channels=channels, stride=stride, places=(Place(module=module, side="input", call=call),))
    after = Tap(channels=channels, stride=stride, places=(Place(module=module, call=call),), activation=activation)
    return before, after


def output(module: str, channels: int, stride: int | None = None, *, form: Form = "map") -> Tap:
    """The output of `module` as a tap; "" is the whole network."""
    return Tap(channels=channels, stride=stride, places=(Place(module=module),), form=form)


def mean_of(tap: Tap) -> Tap:
    """The average of a map over its positions."""
    return Tap(channels=tap.channels, stride=None, places=tap.places, form="mean")


def with_pool(taps: dict[str, Tap], last: str) -> dict[str, Tap]:
    """Adds `pool` and `pool_pre`: the means of the last map with and without its ReLU."""
    return taps | {"pool": mean_of(taps[last]), "pool_pre": mean_of(taps[f"{last}_pre"])}
