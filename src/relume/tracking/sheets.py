"""A group as pictures to look at: a row per method below the originals; of a masked group what was shown, predicted, pasted."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from relume.core.files import read_csv
from relume.core.results import RATIO, Descent, Group, is_masked, pasted, read_descent, read_masked_group, visible

COLUMNS = 8  # pictures on a sheet

Rows = list[list[np.ndarray]]  # of pictures, uint8 (H, W, 3)


def kind_of(row: Mapping[str, str]) -> tuple[str, ...]:
    """What a row's method was applied to: its tap, its dataset, its share of hidden pixels."""
    return row["method"], row["dataset"], row["network"], row["tap"], row.get(RATIO, "")


def sheets(group: Group, images: Path) -> dict[str, np.ndarray]:
    """Name -> uint8 (H, W, 3). `images`: folder of the datasets, whose originals stand on top where they are at hand."""
    found = _masked(group, images) if is_masked(group.folder) else {"pictures": _plain(group, images)}
    return {name: grid(np.stack([np.stack(row) for row in rows])) for name, rows in found.items()}


def grid(rows: np.ndarray, gap: int = 2) -> np.ndarray:
    """uint8 (R, C, H, W, 3) -> one picture with white gaps. `core.images` has one too, but needs torch, seconds to import."""
    wide = np.pad(rows, ((0, 0), (0, 0), (0, gap), (0, gap), (0, 0)), constant_values=255)
    r, c, h, w, _ = wide.shape
    return wide.transpose(0, 2, 1, 3, 4).reshape(r * h, c * w, 3)[:-gap, :-gap]


def _plain(group: Group, images: Path) -> Rows:
    first = kind_of(group.index[0])
    ids = [row["id"] for row in group.index if row["selected"] == "true" and kind_of(row) == first][:COLUMNS]
    rows: dict[tuple[str, ...], dict[str, np.ndarray]] = {}
    for number, row in enumerate(group.index):
        if row["selected"] == "true" and row["id"] in ids:
            rows.setdefault(kind_of(row), {})[row["id"]] = group.images[number]
    blank = np.full(group.images.shape[1:], 255, np.uint8)
    return [*_originals(images / first[1], ids, blank), *([row.get(id, blank) for id in ids] for row in rows.values())]


def _masked(group: Group, images: Path) -> dict[str, Rows]:
    """A sheet per share: originals, what is visible of them, then each method's predictions and these pasted; and the ways."""
    _, masks = read_masked_group(group.folder)
    rows: dict[str, dict[str, list[int]]] = {}
    for number, row in enumerate(group.index):
        shown = rows.setdefault(row[RATIO], {}).setdefault(row["method"], [])
        if len(shown) < COLUMNS:
            shown.append(number)
    found = {f"pictures-{ratio}": _panels(group, masks, list(methods.values()), images) for ratio, methods in rows.items()}
    return found | _ways(read_descent(group.folder))


def _panels(group: Group, masks: np.ndarray, methods: Sequence[Sequence[int]], images: Path) -> Rows:
    """`methods`: numbers of the rows of each, which are of the same pictures and masks."""
    first = methods[0]
    ids, hidden = [group.index[number]["id"] for number in first], [masks[number] for number in first]
    made = [[group.images[number] for number in numbers] for numbers in methods]
    truth = list(_originals(images / group.index[first[0]]["dataset"], ids, np.full_like(made[0][0], 255)))
    if not truth:
        return made
    (originals,) = truth
    pairs = ((row, [pasted(*three) for three in zip(originals, row, hidden, strict=True)]) for row in made)
    return [originals, [visible(*two) for two in zip(originals, hidden, strict=True)], *(part for pair in pairs for part in pair)]


def _ways(descent: Descent) -> dict[str, Rows]:
    """A sheet per method that goes step by step: a row per picture, a column per step."""
    found: dict[str, dict[str, list[np.ndarray]]] = {}
    for row, pixels in zip(descent.rows, descent.images, strict=True):
        found.setdefault(f"steps-{row['method']}", {}).setdefault(str(row["id"]), []).append(pixels)
    return {name: list(rows.values()) for name, rows in found.items()}


def _originals(folder: Path, ids: Sequence[str], blank: np.ndarray) -> Iterator[list[np.ndarray]]:
    """One row; none where they are not at hand."""
    if (folder / "images.npy").exists():
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        places = {row["id"]: number for number, row in enumerate(read_csv(folder / "index.csv"))}
        if images.shape[1:] == blank.shape:
            yield [images[places[id]] if id in places else blank for id in ids]
