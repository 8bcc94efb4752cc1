"""Section `prepare`: the datasets by name, each a variation of one source, told apart by its key `source`.

Counts: pictures drawn by `seed`; `null` takes all, more than there are is an error. Archives and folders go by name, and
are looked for in the folders of RELUME_SOURCES, then in `data/sources/`.
"""

from typing import Annotated, Literal

from pydantic import Field

from relume.core.config import config

Size = Annotated[int, Field(ge=8, le=2048)]  # side of the square pictures, pixels
Count = Annotated[int, Field(ge=0)]


@config
class Photos:
    """Pictures that packages ship, cropped, and dead leaves. No download."""

    source: Literal["photos"]
    pixels: int = Field(ge=16, le=300)  # the smallest photograph has 300 pixels: nothing is ever enlarged
    seed: Count
    test: Count  # crops, spread evenly over the test photographs
    val: Count
    train: Count
    dead_leaves_train: Count  # pictures made from the training photographs' colours and textures
    dead_leaves_val: Count


@config
class Cifar10:
    """`cifar-10-python.tar.gz`, or JPEG copies: a folder or .tar(.gz, .xz) of `train/<class>/*` and `test/<class>/*`."""

    source: Literal["cifar10"]
    pixels: Size = 32
    seed: Count
    archive: str = "cifar-10-python.tar.gz"
    verify: bool = True  # against the owner's checksum
    test: Count | None = None
    val: Count  # held out from the training pictures
    train: Count | None = None


@config
class Cifar100:
    """`cifar-100-python.tar.gz`, with its 100 fine labels."""

    source: Literal["cifar100"]
    pixels: Size = 32
    seed: Count
    archive: str = "cifar-100-python.tar.gz"
    verify: bool = True
    test: Count | None = None
    val: Count
    train: Count | None = None


@config
class TinyImagenet:
    """`tiny-imagenet-200.zip`; the owner's labelled validation pictures are the test split."""

    source: Literal["tiny_imagenet"]
    pixels: Size = 64
    seed: Count  # also draws the classes
    archive: str = "tiny-imagenet-200.zip"
    verify: bool = True
    classes: int = Field(ge=1, le=200)
    test: Count | None = None  # there are 50 per class
    val: Count  # held out from the training pictures, as many of every class
    train: Count | None = None  # there are 500 per class


@config
class ImagenetVal:
    """The 50,000 validation pictures of ILSVRC 2012, split here."""

    source: Literal["imagenet_val"]
    pixels: Size
    short_side: Size | None = None  # resize to this before the crop (256 for 224 is customary); null: to `pixels`
    seed: Count
    archive: str = "ILSVRC2012_img_val.tar"  # or parts (`part_*`), a folder of pictures, a folder with a folder per class
    truth: str = "ILSVRC2012_devkit_t12.tar.gz"  # or a text file, a line per picture; a tree with class folders needs none
    verify: bool = True
    test: Count
    val: Count
    train: Count | None = None

    def __post_init__(self) -> None:
        _wide_enough(self.pixels, self.short_side)


@config
class Folder:
    """Any tree of pictures, with or without class folders, or a .tar(.gz, .xz) or .zip of one, or one (test) picture."""

    source: Literal["folder"]
    pixels: Size
    short_side: Size | None = None
    seed: Count
    path: str  # against the project's root, then the folders of RELUME_SOURCES, then data/sources/
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")  # of the archive or picture, to be sure of it
    licence: str = "unknown"
    split: Literal["every", "folders"]  # folders: the tree's own `train/`, `val/` and `test/`
    test_every: Count = 5  # in sorted order, every fifth picture is a test; 0 none, 1 all
    val_every: Count = 0  # of those that remain
    test: Count | None = None
    val: Count | None = None
    train: Count | None = None

    def __post_init__(self) -> None:
        _wide_enough(self.pixels, self.short_side)


Source = Photos | Cifar10 | Cifar100 | TinyImagenet | ImagenetVal | Folder


@config
class Prepare:
    """Section `prepare`."""

    max_bad: Count = 0  # pictures that may be unreadable before the stage stops; they are left out and listed
    datasets: dict[str, Annotated[Source, Field(discriminator="source")]]


def _wide_enough(pixels: int, short_side: int | None) -> None:
    if short_side is not None and short_side < pixels:
        raise ValueError(f"short_side: {short_side} is less than pixels {pixels}: the crop would not fit")
