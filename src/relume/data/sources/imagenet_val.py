"""Source `imagenet_val`: the 50,000 validation images of ILSVRC 2012 as the official tar, its parts, a folder or a tree."""

import hashlib
import io
from pathlib import Path, PurePosixPath

from relume.core.errors import UserError
from relume.data.archives import images_in, slices
from relume.data.config import ImagenetVal
from relume.data.locate import Archive, find, find_parts, not_found
from relume.data.pictures import Contents, ImageSource, Joined, Picture, held_out, limited
from relume.data.trees import classes, ids, label, without_common_root
from relume.data.truth import labels

REGISTER = "https://image-net.org/download.php"
PICTURES = Archive(
    name="ILSVRC2012_img_val.tar",
    url=REGISTER,
    md5="29b22e2961454d5413ddabcf34fc5622",
    describe="ImageNet ILSVRC 2012, validation images (all tasks), 6.3 GiB; log in, Download, ILSVRC 2012",
    register=True,
)
DEVKIT = Archive(
    name="ILSVRC2012_devkit_t12.tar.gz",
    url=REGISTER,
    md5="fa75699e90414af021442c21a62c3abf",
    describe="ImageNet ILSVRC 2012, development kit (tasks 1 & 2), 2.5 MiB: the labels of the validation images",
    register=True,
)


def contents(config: ImagenetVal, scratch: Path) -> Contents:
    found, shown, official = _materials(config, scratch)
    if not found:
        raise UserError(f"archive: no image found in {shown}")
    names = without_common_root(found)
    tree = all("/" in name for name in names)
    known = {} if tree else labels(find(config.truth, [DEVKIT], verify=config.verify))
    pictures = [
        Picture(id, "train", label(name) if tree else _label(name, known, config.truth), name, material)
        for id, name, material in zip(ids(names), names, found, strict=True)
    ]
    pictures = held_out(pictures, config.test, config.seed, split="test")  # drawn from all images: `train` does not change them
    pictures = held_out(pictures, config.val, config.seed)
    return Contents(
        pictures=limited(pictures, {"train": config.train}, config.seed),
        classes=classes(pictures),
        licence="ImageNet's terms of access: non-commercial research and education",
        origin=[{"name": shown, "md5": PICTURES.md5 if official and config.verify else None}],
    )


def _materials(config: ImagenetVal, scratch: Path) -> tuple[list[ImageSource], str, bool]:
    """The images, the name of their archive or folder, and whether it is the official archive, whole or in parts."""
    if any(mark in config.archive for mark in "*?["):
        if not (parts := find_parts(config.archive)):
            raise UserError(f"archive: {not_found(config.archive)}")
        return _joined(parts, config.verify), config.archive, True
    path = find(config.archive, [PICTURES], verify=config.verify)
    if path.is_dir() and (parts := find_parts("part_*", [path])):
        return _joined(parts, config.verify), path.name, True
    return images_in(path, scratch), path.name, path.name == PICTURES.name


def _joined(parts: list[Path], verify: bool) -> list[ImageSource]:
    if verify:
        with io.BufferedReader(Joined([(part, part.stat().st_size) for part in parts])) as whole:
            got = hashlib.file_digest(whole, "md5").hexdigest()
        if got != PICTURES.md5:
            remedy = "copy them again, or set `verify: false` if they are meant to differ"
            raise UserError(f"{parts[0]} … {parts[-1].name}: together their md5 is {got}, expected {PICTURES.md5}; {remedy}")
    return sorted(slices(parts), key=lambda member: member.name)


def _label(name: str, known: dict[str, str], truth: str) -> str:
    stem = PurePosixPath(name).stem
    if stem not in known:
        raise UserError(f"truth: {truth} has no label for {name}")
    return known[stem]
