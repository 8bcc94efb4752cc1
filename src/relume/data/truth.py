"""The labels of ImageNet's validation images, from the development kit (packed or not) or from a text file."""

import io
from pathlib import Path

from relume.core.errors import UserError
from relume.data.archives import members

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
