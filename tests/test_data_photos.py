"""The embedded default: fixed split, crops worth seeing, dead leaves with the statistics of photographs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from relume.core.runtime import generator
from relume.data.crops import Box, choose
from relume.data.dead_leaves import Photographs, dead_leaves
from relume.data.masks import PATTERNS, bayer, hidden_cells, masks, masks_of
from relume.data.masks_config import Masks
from relume.data.pictures import rng
from relume.data.prepare import prepare
from relume.data.sources import photos
from relume.data.sources.photos import COLOURS, PHOTOS, TEXTURES, load
from relume.data.store import Dataset
from tests.data_files import source

SECTION = {"source": "photos", "pixels": 32, "seed": 0, "test": 14, "val": 5, "train": 20}
LEAVES = {"dead_leaves_train": 6, "dead_leaves_val": 2}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("images") / "photos"
    prepare(source(**SECTION, **LEAVES), folder, name="photos")
    return Dataset.open(folder)


@pytest.fixture(scope="module")
def leaves() -> np.ndarray:
    matter = Photographs(colours=[load(name) for name in COLOURS], textures=[load(name) for name in TEXTURES])
    return np.stack([dead_leaves(128, rng(0, number), matter) for number in range(40)])


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


def test_more_training_pictures_leave_the_tests_as_they_are(dataset: Dataset, tmp_path: Path) -> None:
    more = SECTION | {"train": 30, "dead_leaves_train": 0, "dead_leaves_val": 0}
    prepare(source(**more), tmp_path / "more", name="photos")
    assert np.array_equal(Dataset.open(tmp_path / "more").images[:14], dataset.images[:14])


def test_crops_are_within_never_enlarged_and_unlike_each_other() -> None:
    pixels = load("astronaut")
    boxes = choose(pixels, 12, size=128, generator=rng(0))
    assert boxes[0].side == 512  # first all of it
    for box in boxes:
        assert 128 <= box.side <= 512
        assert box.left >= 0 <= box.top
        assert box.left + box.side <= pixels.shape[1]
        assert box.top + box.side <= pixels.shape[0]
    assert max(overlap(a, b) for i, a in enumerate(boxes) for b in boxes[:i]) < 0.6


def overlap(a: Box, b: Box) -> float:
    w = min(a.left + a.side, b.left + b.side) - max(a.left, b.left)
    h = min(a.top + a.side, b.top + b.side) - max(a.top, b.top)
    both = max(0, w) * max(0, h)
    return both / (a.side**2 + b.side**2 - both)


def power(pictures: np.ndarray) -> float:
    """The slope of log power over log frequency, between 3 cycles per picture and a quarter cycle per pixel."""
    grey = pictures.mean(-1)
    n = grey.shape[-1]
    window = np.hanning(n)[:, None] * np.hanning(n)
    spectrum = (np.abs(np.fft.fft2((grey - grey.mean((1, 2), keepdims=True)) * window)) ** 2).mean(0)
    frequency = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.fftfreq(n))
    edges = np.geomspace(3 / n, 0.25, 12)
    rings = [(frequency >= low) & (frequency < high) for low, high in zip(edges, edges[1:], strict=False)]
    return float(np.polyfit(np.log(edges[:-1] * edges[1:]) / 2, [np.log(spectrum[ring].mean()) for ring in rings], 1)[0])


def test_power_of_dead_leaves_falls_like_that_of_photographs(leaves: np.ndarray) -> None:
    crops = []
    for name in ("astronaut", "chelsea", "china", "coffee", "motorcycle", "grace_hopper"):
        for box in choose(load(name), 6, size=128, generator=rng(0)):
            crops.append(photos.Crop("", name, box).render(128, None))
    natural = power(np.stack(crops))
    assert -3.2 < natural < -1.8
    assert -3.0 < power(leaves) < -1.8
    assert abs(power(leaves) - natural) < 0.5


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
