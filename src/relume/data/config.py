"""Section `prepare`: the datasets by name, each from one source. Counts: images drawn by `seed`; `null` takes all. Archives and
folders are searched by name in the folders of RELUME_SOURCES, then in `data/sources/`."""

from typing import Annotated, Literal

from pydantic import Field

from relume.core.config import config

Size = Annotated[int, Field(ge=8, le=2048)]  # side of the square images, pixels
Count = Annotated[int, Field(ge=0)]


@config
class Photos:
    """Crops of photographs in Python packages, and dead leaves images. No download."""

    source: Literal["photos"]
    pixels: int = Field(ge=16, le=300)  # the smallest photograph has 300 pixels
    seed: Count
    test: Count  # crops, evenly from the test photographs
    val: Count
    train: Count
    dead_leaves_train: Count  # images from the colours and textures of the training photographs
    dead_leaves_val: Count


@config
class Cifar:
    pixels: Size = 32
    seed: Count
    verify: bool = True  # the official checksum
    test: Count | None = None
    val: Count  # held out from the training images
    train: Count | None = None


@config
class Cifar10(Cifar):
    """`cifar-10-python.tar.gz`, or JPEG copies: a folder or .tar(.gz, .xz) of `train/<class>/*` and `test/<class>/*`."""

    source: Literal["cifar10"]
    archive: str = "cifar-10-python.tar.gz"


@config
class Cifar100(Cifar):
    """`cifar-100-python.tar.gz`, with its 100 fine labels."""

    source: Literal["cifar100"]
    archive: str = "cifar-100-python.tar.gz"


@config
class TinyImagenet:
    """`tiny-imagenet-200.zip`; its labelled validation images are the test split."""

    source: Literal["tiny_imagenet"]
    pixels: Size = 64
    seed: Count  # also draws the classes
    archive: str = "tiny-imagenet-200.zip"
    verify: bool = True
    classes: int = Field(ge=1, le=200)
    test: Count | None = None  # 50 per class
    val: Count  # held out from the training images, evenly by class
    train: Count | None = None  # 500 per class


@config
class Cropped:
    pixels: Size
    short_side: Size | None = None  # resize to this before the crop (256 for 224 is common); null: to `pixels`
    seed: Count

    def __post_init__(self) -> None:
        if self.short_side is not None and self.short_side < self.pixels:
            raise ValueError(f"short_side: must be at least pixels {self.pixels}, got {self.short_side}")


@config
class ImagenetVal(Cropped):
    """The 50,000 validation images of ILSVRC 2012, split at random."""

    source: Literal["imagenet_val"]
    archive: str = "ILSVRC2012_img_val.tar"  # or parts (`part_*`), a folder of images, a folder with class folders
    truth: str = "ILSVRC2012_devkit_t12.tar.gz"  # or a text file with a line per image; unused with class folders
    verify: bool = True
    test: Count
    val: Count
    train: Count | None = None


@config
class Folder(Cropped):
    """Any tree of images, with or without class folders, or a .tar(.gz, .xz) or .zip of one, or one (test) image."""

    source: Literal["folder"]
    path: str  # relative to the project's root, RELUME_SOURCES or data/sources/
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")  # expected hash of the archive or image
    licence: str = "unknown"
    split: Literal["every", "folders"]  # folders: the tree's own `train/`, `val/` and `test/`
    test_every: Count = 5  # every fifth image, in sorted order, is for testing; 0: none, 1: all
    val_every: Count = 0  # of the remaining images
    test: Count | None = None
    val: Count | None = None
    train: Count | None = None


Source = Photos | Cifar10 | Cifar100 | TinyImagenet | ImagenetVal | Folder


@config
class Prepare:
    """Section `prepare`."""

    max_bad: Count = 0  # unreadable images that are skipped and listed; more are an error
    datasets: dict[str, Annotated[Source, Field(discriminator="source")]]


@config
class Masks:
    """`random`: any cells; `block`: rectangles, as in BEiT; `grid`: evenly spread."""

    pattern: Literal["random", "block", "grid"]
    ratio: float = Field(gt=0, lt=1)  # fraction of hidden cells
    cell: int = Field(ge=1)  # px
