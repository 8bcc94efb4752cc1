"""Source `cifar10`: the official python archive, or a tree of JPEG copies."""

from pathlib import Path

from relume.data.archives import pictures_in
from relume.data.cifar import LICENCE, Layout, read
from relume.data.config import Cifar10
from relume.data.locate import Archive, find
from relume.data.pictures import Contents, held_out, limited
from relume.data.trees import by_folder, classes

OFFICIAL = Archive(
    name="cifar-10-python.tar.gz",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    md5="c58f30108f718f92721af3b95e74349a",
    describe="CIFAR-10, python version, 163 MiB",
)
LAYOUT = Layout(
    folder="cifar-10-batches-py",
    train=[f"data_batch_{number}" for number in range(1, 6)],
    test=["test_batch"],
    meta="batches.meta",
    names="label_names",
    labels="labels",
)


def contents(config: Cifar10, scratch: Path) -> Contents:
    path = find(config.archive, [OFFICIAL], verify=config.verify)
    if config.archive == OFFICIAL.name:
        pictures, names = read(path, LAYOUT)
        notes = []
    else:
        pictures = by_folder(pictures_in(path, scratch), str(path))
        names = classes(pictures)
        notes = ["JPEG copies: small compression losses against the original"]
    pictures = held_out(pictures, config.val, config.seed)
    limits = {"test": config.test, "train": config.train}
    origin = {"name": path.name, "md5": OFFICIAL.md5 if config.archive == OFFICIAL.name and config.verify else None}
    return Contents(pictures=limited(pictures, limits, config.seed), classes=names, licence=LICENCE, origin=[origin], notes=notes)
