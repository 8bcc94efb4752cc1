"""Floors of masked pictures and masked scores: answers by hand, and no look at what is hidden."""

import math

import pytest
import torch
from torch import Tensor

from relume.core.runtime import generator
from relume.data.masks import in_pixels, masks_of
from relume.data.masks_config import Masks
from relume.evaluation.masked import COLUMNS, paste, score
from relume.evaluation.masked_floors import (
    FILLERS,
    inverse_distance,
    inverse_distance_pixels,
    mean_patch,
    mean_visible,
    nearest_visible,
)

ALL = {**FILLERS, "floor_mean_patch": mean_patch(torch.full((1, 3, 8, 8), 0.25))}
IDS = ["a", "b", "c"]


def row(values: list[float], cell: int = 1) -> Tensor:
    """One picture: these greys in the first row of cells, their continuation below."""
    side = len(values)
    return torch.tensor(values).expand(1, 3, side, side).repeat_interleave(cell, 2).repeat_interleave(cell, 3).contiguous()


def mask(*visible: tuple[int, int], side: int = 3) -> Tensor:
    hidden = torch.ones(1, side, side, dtype=torch.bool)
    for place in visible:
        hidden[0][place] = False
    return hidden


def pictures() -> tuple[Tensor, Tensor]:
    images = torch.rand(3, 3, 8, 8, generator=generator(0, "floors"))
    return images, masks_of(IDS, 4, Masks(pattern="random", ratio=0.7, cell=2), seed=0)


@pytest.mark.parametrize("name", ALL)
def test_what_is_visible_is_kept_and_what_is_hidden_never_seen(name: str) -> None:
    images, hidden = pictures()
    dark = in_pixels(hidden, 2)
    filled = ALL[name](images, hidden)
    assert filled.shape == images.shape
    assert 0 <= filled.min() <= filled.max() <= 1
    assert torch.equal(torch.where(dark, 0, filled), torch.where(dark, 0, images))
    assert torch.equal(ALL[name](torch.where(dark, 0.5, images), hidden), filled)
    assert torch.allclose(ALL[name](images[1:2], hidden[1:2]), filled[1:2], atol=1e-6), "rows touch"


def test_fillings_by_hand() -> None:
    filled = mean_visible(row([0.0, 0.4, 1.0], cell=2), mask((0, 0), (1, 1), (0, 2)))
    assert filled[0, 0, 5, 5].item() == pytest.approx((0.0 + 0.4 + 1.0) / 3)
    filled = nearest_visible(row([0.0, 0.4, 1.0], cell=2), mask((0, 0), (2, 2)))
    assert filled[0, 0, 5, 2].item() == 1.0, "cell (2, 1) is next to (2, 2)"
    assert filled[0, 0, 2, 0].item() == 0.0
    assert filled[0, 0, 2, 2].item() == 0.0, "as far from both: the first"
    mean = torch.rand(1, 3, 8, 8, generator=generator(0, "mean"))
    images, hidden = pictures()
    assert torch.equal(paste(mean_patch(mean)(images, hidden), images, hidden), torch.where(in_pixels(hidden, 2), mean, images))


def test_inverse_distance_by_hand() -> None:
    """Cell (0, 1) is 1 from (0, 0) of grey 0 and sqrt 5 from (2, 2) of grey 1: weights 1 and 1/5."""
    images, hidden = row([0.0, 0.4, 1.0], cell=2), mask((0, 0), (2, 2))
    assert inverse_distance(images, hidden)[0, 1, 0, 2].item() == pytest.approx((1 / 5) / (1 + 1 / 5))
    filled = inverse_distance_pixels(row([0.0, 0.4, 1.0]), hidden)
    assert filled[0, 1, 0, 1].item() == pytest.approx(5**-1.5 / (1 + 5**-1.5), rel=1e-5)


def test_scores_by_hand() -> None:
    """A quarter is hidden, and wrong by 0.5 there; wrong by 0.1 elsewhere, which pasting mends."""
    images, hidden = torch.full((1, 3, 16, 16), 0.4), torch.zeros(1, 2, 2, dtype=torch.bool)
    hidden[0, 1, 1] = True
    predicted = torch.full_like(images, 0.5)
    predicted[..., 8:, 8:] = 0.9
    found = {name: value.item() for name, value in score(predicted, images, hidden).items()}
    assert tuple(found) == COLUMNS
    assert found["mse_masked"] == pytest.approx(0.25, rel=1e-5)
    assert found["psnr_masked"] == pytest.approx(-10 * math.log10(0.25), rel=1e-5)
    assert found["psnr_pasted"] == pytest.approx(-10 * math.log10(0.25 / 4), rel=1e-5)
    assert found["psnr_full"] == pytest.approx(-10 * math.log10(0.25 / 4 + 0.01 * 3 / 4), rel=1e-5)
    assert score(images, images, hidden)["psnr_masked"].item() == 100
