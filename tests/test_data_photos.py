"""The embedded default: splits, crops, dead leaves like photographs, the same bytes on every processor; masks of pictures."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from relume.core.runtime import generator
from relume.data.config import Masks
from relume.data.dead_leaves import Photographs, dead_leaves, dead_leaves_float, radii
from relume.data.masks import PATTERNS, bayer, hidden_cells, masks, masks_of
from relume.data.pictures import rng
from relume.data.portable import cos_sin, exp, hypot, log, uniform
from relume.data.prepare import prepare
from relume.data.sources.photos import COLOURS, PHOTOS, TEXTURES, Box, Crop, choose, load
from relume.data.store import Dataset
from tests.data_files import source

SECTION = {"source": "photos", "pixels": 32, "seed": 0, "test": 14, "val": 5, "train": 20}
LEAVES = {"dead_leaves_train": 6, "dead_leaves_val": 2}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("images") / "photos"
    prepare(source(**SECTION, **LEAVES), folder, name="photos")
    return Dataset.open(folder)


def test_counts_splits_and_the_same_bytes_again(dataset: Dataset, tmp_path: Path) -> None:
    assert dataset.manifest["counts"] == {"all": 47, "test": 14, "val": 7, "train": 26}
    assert dataset.images.shape == (47, 32, 32, 3)
    found = {split: {dataset.index[row]["source"] for row in dataset.select(split)} for split in ("test", "val", "train")}
    assert sum(map(len, found.values())) == len(set().union(*found.values()))
    assert {dataset.index[row]["source"] for row in dataset.select("test", 6)} == found["test"], "the first rows show all"
    train = {photo.name for photo in PHOTOS if photo.split == "train"}
    assert {*COLOURS, *TEXTURES} <= train, "of which dead leaves are made"
    assert prepare(source(**SECTION, **LEAVES), tmp_path / "again", name="photos") == dataset.manifest
    assert np.array_equal(Dataset.open(tmp_path / "again").images, dataset.images)


def test_crops_are_unlike_each_other_and_more_training_pictures_leave_the_tests_as_they_are(
    dataset: Dataset, tmp_path: Path
) -> None:
    pixels = load("astronaut")
    boxes = choose(pixels, 12, size=128, generator=rng(0))
    assert boxes[0].side == 512  # first all of it
    for box in boxes:
        assert 128 <= box.side <= 512
        assert box.left >= 0 <= box.top
        assert box.left + box.side <= pixels.shape[1]
        assert box.top + box.side <= pixels.shape[0]
    assert max(overlap(a, b) for i, a in enumerate(boxes) for b in boxes[:i]) < 0.6
    more = SECTION | {"train": 30, "dead_leaves_train": 0, "dead_leaves_val": 0}
    prepare(source(**more), tmp_path / "more", name="photos")
    assert np.array_equal(Dataset.open(tmp_path / "more").images[:14], dataset.images[:14])


def overlap(a: Box, b: Box) -> float:
    w = min(a.left + a.side, b.left + b.side) - max(a.left, b.left)
    h = min(a.top + a.side, b.top + b.side) - max(a.top, b.top)
    both = max(0, w) * max(0, h)
    return both / (a.side**2 + b.side**2 - both)


IDS = [f"p{number}" for number in range(12)]


def config(kind: str, ratio: float) -> Masks:
    return Masks(pattern=kind, ratio=ratio, cell=4)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", PATTERNS)
@pytest.mark.parametrize("side", [2, 7, 8, 14])
@pytest.mark.parametrize("ratio", [0.01, 0.4, 0.5, 0.75, 0.85, 0.999])
def test_as_many_cells_are_hidden_as_the_ratio_says(kind: str, side: int, ratio: float) -> None:
    found = masks_of(IDS, side, config(kind, ratio), seed=0)
    assert found.shape == (12, side, side)
    assert found.dtype == torch.bool
    assert set(found.sum((1, 2)).tolist()) == {hidden_cells(side, ratio)}
    assert 0 < hidden_cells(side, ratio) < side**2


@pytest.mark.parametrize("kind", PATTERNS)
def test_a_mask_depends_on_seed_and_id_alone(kind: str) -> None:
    whole = masks_of(IDS, 8, config(kind, 0.6), seed=0)
    assert torch.equal(whole[[5]], masks_of([IDS[5]], 8, config(kind, 0.6), seed=0))
    assert not torch.equal(whole, masks_of(IDS, 8, config(kind, 0.6), seed=1))
    assert len({tuple(mask.flatten().tolist()) for mask in whole}) > 6


def test_masks_at_random_by_grid_and_by_blocks() -> None:
    draws = [generator(0, number) for number in range(2000)]
    often = masks(4, config("random", 0.75), draws).float().mean(0)
    assert (often - 0.75).abs().max() < 0.05
    for mask in masks_of(IDS, 8, config("grid", 0.75), seed=0):
        visible = (~mask).float()[None]
        assert set(torch.nn.functional.avg_pool2d(visible, 2).flatten().tolist()) == {0.25}
    for mask in masks_of(IDS, 8, config("grid", 0.5), seed=0):
        assert (mask[1:] != mask[:-1]).all(), "a chess board"
    assert bayer(2).tolist() == [[0, 2], [3, 1]]
    assert sorted(bayer(5).flatten().tolist()) == list(range(64))

    def neighbours(kind: str) -> float:
        found = masks_of([*IDS, *map(str, range(40))], 14, config(kind, 0.4), seed=0)
        return float((found[:, 1:] & found[:, :-1]).sum() / found.sum())

    assert neighbours("block") > neighbours("random") + 0.2


SHA256 = "ae1a1609e84abf693122d868123928176bfe4e9a89fd7040da75be08151105a6"


def matter() -> Photographs:
    plane = np.arange(160 * 160 * 3, dtype=np.int64).reshape(160, 160, 3)
    photographs = [(plane * plane // divisor % 251).astype(np.uint8) for divisor in (1, 97, 7001)]
    return Photographs(colours=photographs, textures=photographs)


def everything() -> str:
    numbers = uniform(rng(0), 0.01, 13, 2000)
    found = hashlib.sha256(np.array([[*cos_sin(each), log(each), exp(each)] for each in numbers.tolist()]).tobytes())
    found.update(hypot(numbers, numbers[::-1]).tobytes())
    found.update(radii(rng(0), 1.3, 40.0, area=1e4).tobytes())
    for number in range(8):
        found.update(dead_leaves_float(96, rng(0, number), matter()).tobytes())
    for name in ("motorcycle", "chelsea"):
        for box in choose(load(name), 8, size=32, generator=rng(0, name)):
            found.update(repr(box).encode() + Crop("", name, box).render(32, None).tobytes())
    return found.hexdigest()


def test_another_processor_gives_the_same_bits() -> None:
    """One without the vector instructions of this one, as far as the libraries can be told so."""
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    plain = {
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX512F",
        "NPY_DISABLE_CPU_FEATURES": " ".join(found),  # by numpy's own names; it ignores others with a warning only
        "OPENBLAS_CORETYPE": "Prescott",
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [sys.executable, "-W", "error::ImportWarning", "-m", "tests.test_data_photos"]
    plain |= {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    there = subprocess.check_output(command, env=os.environ | plain, cwd=Path(__file__).parents[1], text=True)
    assert there.strip() == everything()


def test_dead_leaves_are_those_of_every_machine() -> None:
    assert hashlib.sha256(dead_leaves(96, rng(0), matter()).tobytes()).hexdigest() == SHA256


if __name__ == "__main__":
    print(everything())
