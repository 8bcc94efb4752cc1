"""Source `tiny_imagenet`: the official zip; a subset of classes by number and seed."""

from pathlib import Path, PurePosixPath

from relume.core.errors import UserError
from relume.data.archives import zipped
from relume.data.config import TinyImagenet
from relume.data.decode import BadPicture
from relume.data.locate import Archive, find
from relume.data.pictures import Contents, Picture, Zipped, held_out, limited, rng, unzip

OFFICIAL = Archive(
    name="tiny-imagenet-200.zip",
    url="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    md5="90528d7ca1a48142e341f4ef8d21d0de",
    describe="Tiny ImageNet, 200 classes at 64 pixels, 237 MiB",
)
ROOT = "tiny-imagenet-200"


def contents(config: TinyImagenet, scratch: Path) -> Contents:
    path = find(config.archive, [OFFICIAL], verify=config.verify)
    members = {member.name: member for member in zipped(path)}
    names = sorted(_text(path, "wnids.txt").split())
    if config.classes > len(names):
        raise UserError(f"classes: needs {config.classes} classes, {path} has {len(names)}")
    picked = rng(config.seed, "classes").choice(len(names), config.classes, replace=False)
    chosen = [names[number] for number in sorted(picked)]
    pictures = [
        Picture(PurePosixPath(name).stem, "train", name.split("/")[2], name, member)
        for name, member in members.items()  # train/<wnid>/images/<wnid>_<number>.JPEG
        if name.startswith(f"{ROOT}/train/") and name.endswith(".JPEG") and name.split("/")[2] in chosen
    ]
    pictures += _validation(members, path, set(chosen))
    if not pictures:
        raise UserError(f"{path} has no images of its classes: it is not the official archive")
    pictures = held_out(pictures, config.val, config.seed, evenly=True)
    return Contents(
        pictures=limited(pictures, {"test": config.test, "train": config.train}, config.seed),
        classes=chosen,
        licence="ImageNet's terms of access: non-commercial research and education",
        origin=[{"name": path.name, "md5": OFFICIAL.md5 if config.verify else None}],
    )


def _validation(members: dict[str, Zipped], path: Path, chosen: set[str]) -> list[Picture]:
    """`val/images/val_<number>.JPEG`, labelled in `val/val_annotations.txt`: name, wnid, box."""
    pictures = []
    for line in _text(path, "val/val_annotations.txt").splitlines():
        file, wnid, *_ = line.split("\t")
        name = f"{ROOT}/val/images/{file}"
        if wnid in chosen:
            if name not in members:
                raise UserError(f"{path} lacks {name}, which val_annotations.txt lists")
            pictures.append(Picture(PurePosixPath(file).stem, "test", wnid, name, members[name]))
    return pictures


def _text(path: Path, name: str) -> str:
    try:
        return unzip(path, f"{ROOT}/{name}").decode()
    except KeyError:
        raise UserError(f"{path} lacks {ROOT}/{name}: it is not the official archive") from None
    except (BadPicture, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {ROOT}/{name}: {error}") from None
