"""What a network says of itself: normalisation, size, taps and where in its modules they lie. Plain data, no torch."""

from dataclasses import dataclass
from typing import Literal

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)

Form = Literal["map", "mean", "tokens"]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Input or output of a module's `call`-th run in a forward pass: torchvision's blocks run one ReLU two or three times."""

    module: str
    side: Literal["input", "output"] = "output"
    call: int = 0


@dataclass(frozen=True, kw_only=True)
class Tap:
    """One named activation: (N, channels, H, W) where it has a stride, (N, channels) where it has none.

    Several places are joined along the channels. `form` makes the tap of what is found there: as it is; the mean over
    positions; a transformer's tokens (N, 1 + HW, C) without the class token, laid out as a map.
    """

    channels: int
    stride: int | None
    places: tuple[Place, ...]
    form: Form = "map"
    activation: Literal["", "relu", "relu6"] = ""  # what leads from `<tap>_pre` to this tap; nothing for sums and means


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A network: everything that is known of it without building it."""

    name: str
    builder: str  # which of `builders` makes its modules
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    size: int = 224  # what it was trained at
    any_size: bool = True  # it sees a picture at the picture's own size; else at `size`
    min_size: int = 32  # the smallest picture for which every tap is there
    taps: dict[str, Tap]
    variant: str  # which training, which part: another one is another network
    licence: str


def behind(
    module: str, channels: int, stride: int | None, *, call: int = 0, activation: Literal["relu", "relu6"] = "relu"
) -> tuple[Tap, Tap]:
    """The taps before and after the activation that is `module`."""
    before = Tap(channels=channels, stride=stride, places=(Place(module=module, side="input", call=call),))
    after = Tap(channels=channels, stride=stride, places=(Place(module=module, call=call),), activation=activation)
    return before, after


def output(module: str, channels: int, stride: int | None = None, *, form: Form = "map") -> Tap:
    """The tap that is what `module` returns; "" is the whole network."""
    return Tap(channels=channels, stride=stride, places=(Place(module=module),), form=form)


def mean_of(tap: Tap) -> Tap:
    """The average of a map over its positions."""
    return Tap(channels=tap.channels, stride=None, places=tap.places, form="mean")


def with_pool(taps: dict[str, Tap], last: str) -> dict[str, Tap]:
    """`pool` and `pool_pre` added: the averages of the last map with and without its ReLU."""
    return taps | {"pool": mean_of(taps[last]), "pool_pre": mean_of(taps[f"{last}_pre"])}
