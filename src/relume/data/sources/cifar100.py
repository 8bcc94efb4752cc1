"""Source `cifar100`: the official python archive, fine labels."""

from pathlib import Path

from relume.data.cifar import LICENCE, Layout, read
from relume.data.config import Cifar100
from relume.data.locate import Archive, find
from relume.data.pictures import Contents, held_out, limited

OFFICIAL = Archive(
    name="cifar-100-python.tar.gz",
    url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    md5="eb9058c3a382ffc7106e4002c42a8d85",
    describe="CIFAR-100, python version, 161 MiB",
)
LAYOUT = Layout(
    folder="cifar-100-python",
    train=["train"],
    test=["test"],
    meta="meta",
    names="fine_label_names",
    labels="fine_labels",
)


def contents(config: Cifar100, scratch: Path) -> Contents:
    path = find(config.archive, [OFFICIAL], verify=config.verify)
    pictures, names = read(path, LAYOUT)
    pictures = held_out(pictures, config.val, config.seed)
    return Contents(
        pictures=limited(pictures, {"test": config.test, "train": config.train}, config.seed),
        classes=names,
        licence=LICENCE,
        origin=[{"name": path.name, "md5": OFFICIAL.md5 if config.verify else None}],
    )
