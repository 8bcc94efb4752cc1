"""Source `imagenet_val`: the 50,000 validation images of ILSVRC 2012 as the official tar, its parts, a folder or a tree."""

import hashlib
import io
from pathlib import Path, PurePosixPath

from relume.core.errors import UserError
from relume.data.archives import images_in, members, slices
from relume.data.config import ImagenetVal
from relume.data.locate import Archive, find, find_parts, not_found
from relume.data.pictures import Contents, ImageSource, Joined, Picture, held_out, limited
from relume.data.trees import classes, ids, label, without_common_root

TRUTH = "data/ILSVRC2012_validation_ground_truth.txt"
META = "data/meta.mat"


def labels(path: Path) -> dict[str, str]:
    """`ILSVRC2012_val_00000001` -> its class: a WordNet id from the development kit, or the class in the text file."""
    if path.is_file() and path.suffix.lower() in (".txt", ".csv"):
        return from_text(_decoded(path.read_bytes(), str(path)), str(path))
    truth, meta = _devkit(path)
    wnids = _wnids(meta, str(path))
    numbered = from_text(_decoded(truth, f"{path}: {TRUTH}"), f"{path}: {TRUTH}")
    return {name: wnids.get(number, number) for name, number in numbered.items()}


def from_text(text: str, shown: str) -> dict[str, str]:
    """One line per image: its class, in order; or `<file> <class>`, also with commas or boxes after it."""
    found: dict[str, str] = {}
    lines = [line.replace(",", " ").split() for line in text.splitlines() if line.strip()]
    if lines and lines[0][0] == "ImageId":  # the header of LOC_val_solution.csv
        lines = lines[1:]
    for number, words in enumerate(lines, start=1):
        if len(words) == 1:
            found[f"ILSVRC2012_val_{number:08d}"] = words[0]
        else:
            found[Path(words[0]).stem] = words[1]
    if len(found) != len(lines):
        raise UserError(f"{shown}: {len(lines)} lines for {len(found)} images: some are listed twice")
    return found


def _devkit(path: Path) -> tuple[bytes, bytes]:
    """The contents of TRUTH and META."""
    if path.is_dir():
        found = {name: next(path.rglob(Path(name).name), None) for name in (TRUTH, META)}
        data = {name: file.read_bytes() for name, file in found.items() if file is not None}
    else:
        files = members(path, lambda name: name.endswith((f"/{TRUTH}", f"/{META}")))
        data = {TRUTH if name.endswith(TRUTH) else META: content for name, content in files}
    if missing := [name for name in (TRUTH, META) if name not in data]:
        raise UserError(f"{path} lacks {', '.join(missing)}: it is not the development kit of ILSVRC 2012, tasks 1 & 2")
    return data[TRUTH], data[META]


def _decoded(data: bytes, shown: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{shown} is not UTF-8 ({error.reason} at byte {error.start}): save it as UTF-8") from None


def _wnids(meta: bytes, shown: str) -> dict[str, str]:
    """ILSVRC2012_ID -> WordNet id, from the MATLAB table `synsets`."""
    from scipy.io import loadmat

    try:
        table = loadmat(io.BytesIO(meta), squeeze_me=True)["synsets"]
        return {str(int(row["ILSVRC2012_ID"])): str(row["WNID"]) for row in table.ravel()}
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{shown}: {META} cannot be read ({error})") from None


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
