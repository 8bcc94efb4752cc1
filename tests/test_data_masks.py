"""Masks: exactly as many cells as asked for, the same for an id whatever is beside it, each kind what it says."""

import pytest
import torch

from relume.core.runtime import generator
from relume.data.masks import PATTERNS, bayer, hidden_cells, masks, masks_of
from relume.data.masks_config import Masks

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


def test_every_cell_is_hidden_as_often_as_any_other_at_random() -> None:
    draws = [generator(0, number) for number in range(2000)]
    often = masks(4, config("random", 0.75), draws).float().mean(0)
    assert (often - 0.75).abs().max() < 0.05


def test_a_grid_shows_one_of_every_four_neighbours() -> None:
    for mask in masks_of(IDS, 8, config("grid", 0.75), seed=0):
        visible = (~mask).float()[None]
        assert set(torch.nn.functional.avg_pool2d(visible, 2).flatten().tolist()) == {0.25}
    for mask in masks_of(IDS, 8, config("grid", 0.5), seed=0):
        assert (mask[1:] != mask[:-1]).all(), "a chess board"


def test_the_dither_by_hand() -> None:
    assert bayer(2).tolist() == [[0, 2], [3, 1]]
    assert sorted(bayer(5).flatten().tolist()) == list(range(64))


def test_blocks_hang_together() -> None:
    def neighbours(kind: str) -> float:
        found = masks_of([*IDS, *map(str, range(40))], 14, config(kind, 0.4), seed=0)
        return float((found[:, 1:] & found[:, :-1]).sum() / found.sum())

    assert neighbours("block") > neighbours("random") + 0.2
