"""What a key of `params.yaml` may name, declared in its annotation: `dataset: Dataset`, `tap: Annotated[str, Tap()]`. Plain data,
checked by `relume.methods.references`, so that a stage depends on no check."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

GROUPS, METHODS = "the groups", "the methods"  # of all sections


class Reference:
    """Base class of the markers. Their fields are looked up in the dataclass that holds the key, then in those around it."""


@dataclass(frozen=True)
class Entry(Reference):
    """The name of an entry of `lists`: dotted keys of the file, GROUPS or METHODS."""

    lists: tuple[str, ...]


@dataclass(frozen=True)
class Folder(Reference):
    """`<root>/<name>`, with the name of an entry of `lists`. `none`: data/none is allowed, too."""

    root: str
    lists: tuple[str, ...]
    none: bool = False


@dataclass(frozen=True)
class Same(Reference):
    """The value of another key of the file."""

    key: str


@dataclass(frozen=True)
class AtMost(Reference):
    """A number, at most that of another key of the file."""

    key: str


@dataclass(frozen=True)
class Split(Reference):
    """A split of the field `dataset` that has images. `held_out`: not the training split."""

    held_out: bool = False


@dataclass(frozen=True)
class Holds(Reference):
    """A dataset with images in these splits."""

    splits: tuple[str, ...] = ("train", "val")


@dataclass(frozen=True)
class Count(Reference):
    """At most as many images as the dataset has in `split`, or in the split that the field `split` names."""

    split: str = ""


@dataclass(frozen=True)
class Tap(Reference):
    """A tap of the network in the field `network`. `pooled`: one without positions."""

    pooled: bool = False


@dataclass(frozen=True)
class HasTap(Reference):
    """A network with this tap."""

    tap: str


@dataclass(frozen=True)
class NetworkTap(Reference):
    """A network of `lists` and one of its taps."""

    lists: tuple[str, ...]


@dataclass(frozen=True)
class ForeignTap(Reference):
    """A tap of the network that the parent key names, before or after its ReLU according to the field `policy`."""


@dataclass(frozen=True)
class Sees(Reference):
    """A network that takes images of the side in the field `pixels`, or of the dataset's where that is null."""

    pixels: str = ""


@dataclass(frozen=True)
class Features(Reference):
    """The folder of the features of the fields `dataset` and `network`, or data/none: they are computed. `strict`: named features
    are kept for all images."""

    strict: bool = False


@dataclass(frozen=True)
class Lpips(Reference):
    """LPIPS's network `alex`, `vgg` or `squeeze`, or a metric: LPIPS needs the network and its heads, other metrics nothing."""


Dataset = Annotated[str, Entry(("prepare.datasets",))]
TrainingSet = Annotated[str, Entry(("prepare.datasets",)), Holds()]
TheDataset = Annotated[str, Same("dataset")]  # of the file: `params.check` puts it wherever a section leaves it out
Fetched = Annotated[str, Entry(("weights.networks",))]
Extracted = Annotated[str, Entry(("extract.networks",))]
Validation = Annotated[int | None, Count("val")]


def _once(names: Sequence[object]) -> Sequence[object]:
    if len(set(names)) < len(names):
        raise PydanticCustomError("once", "each once")
    return names


Once = AfterValidator(_once)  # a list without duplicates
