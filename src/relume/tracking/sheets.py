"""Image sheets of a group: originals and one row per method; for masked groups visible, predicted and pasted images."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from relume.core.files import read_csv
from relume.core.results import RATIO, Descent, Group, is_masked, pasted, read_descent, read_masked_group, visible
from relume.core.sheet import grid

COLUMNS = 8  # images per row

Rows = list[list[np.ndarray]]  # of images, uint8 (H, W, 3)


def kind_of(row: Mapping[str, str]) -> tuple[str, ...]:
    """A row's method, dataset, network, tap and mask ratio."""
    return row["method"], row["dataset"], row["network"], row["tap"], row.get(RATIO, "")


def sheets(group: Group, images: Path) -> dict[str, np.ndarray]:
    """Name -> uint8 (H, W, 3). `images`: the folder of the datasets, for the originals."""
    found = _masked(group, images) if is_masked(group.folder) else {"pictures": _plain(group, images)}
    return {name: grid(np.stack([np.stack(row) for row in rows])) for name, rows in found.items()}


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
    """A sheet per mask ratio: originals, visible parts, and each method's predictions, also pasted; and sheets of the steps."""
    _, masks = read_masked_group(group.folder)
    rows: dict[str, dict[str, list[int]]] = {}
    for number, row in enumerate(group.index):
        shown = rows.setdefault(row[RATIO], {}).setdefault(row["method"], [])
        if len(shown) < COLUMNS:
            shown.append(number)
    found = {f"pictures-{ratio}": _panels(group, masks, list(methods.values()), images) for ratio, methods in rows.items()}
    return found | _steps(read_descent(group.folder))


def _panels(group: Group, masks: np.ndarray, methods: Sequence[Sequence[int]], images: Path) -> Rows:
    """`methods`: the row numbers of each method, for the same images and masks."""
    first = methods[0]
    ids, hidden = [group.index[number]["id"] for number in first], [masks[number] for number in first]
    made = [[group.images[number] for number in numbers] for numbers in methods]
    truth = list(_originals(images / group.index[first[0]]["dataset"], ids, np.full_like(made[0][0], 255)))
    if not truth:
        return made
    (originals,) = truth
    pairs = ((row, [pasted(*three) for three in zip(originals, row, hidden, strict=True)]) for row in made)
    return [originals, [visible(*two) for two in zip(originals, hidden, strict=True)], *(part for pair in pairs for part in pair)]


def _steps(descent: Descent) -> dict[str, Rows]:
    """A sheet per iterative method: a row per image, a column per step."""
    found: dict[str, dict[str, list[np.ndarray]]] = {}
    for row, pixels in zip(descent.rows, descent.images, strict=True):
        found.setdefault(f"steps-{row['method']}", {}).setdefault(str(row["id"]), []).append(pixels)
    return {name: list(rows.values()) for name, rows in found.items()}


def _originals(folder: Path, ids: Sequence[str], blank: np.ndarray) -> Iterator[list[np.ndarray]]:
    """One row; none if the dataset is missing."""
    if (folder / "images.npy").exists():
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        places = {row["id"]: number for number, row in enumerate(read_csv(folder / "index.csv"))}
        if images.shape[1:] == blank.shape:
            yield [images[places[id]] if id in places else blank for id in ids]
