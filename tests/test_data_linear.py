"""Linear prediction of hidden pixels: answers known by construction."""

import pytest
import torch

from relume.core.images import to_uint8
from relume.core.runtime import generator
from relume.data.linear import NOISES, LinearFill
from relume.data.masks import in_pixels, masks_of
from relume.data.masks_config import Masks
from relume.data.store import Dataset


def dataset(size: int, count: int) -> Dataset:
    """Images of two random numbers each: a grey, and how much of one fixed pattern lies over it."""
    draw = generator(0, "linear", size)
    pattern = torch.rand(1, 3, 16, 1, generator=draw).repeat(1, 1, size // 16, size) - 0.5
    grey, much = (torch.rand(2, count, 1, 1, 1, generator=draw) * 0.4 + 0.3).unbind()
    images = grey + 0.5 * (much - 0.5) * pattern
    index = [{"id": f"i{row}", "split": "train", "label": "", "source": f"s{row}", "sha1": ""} for row in range(count)]
    return Dataset(name="toy", size=size, images=to_uint8(images), index=index, manifest={})


@pytest.mark.parametrize(("size", "ratio"), [(16, 0.75), (16, 0.5), (64, 0.5)])
def test_two_unknowns_are_solved_for_and_nothing_hidden_is_read(size: int, ratio: float) -> None:
    data = dataset(size, 40)
    rows = list(range(40))
    fill = LinearFill.fit(data, rows[:30])
    assert fill.noise == min(NOISES), "nothing in these images is noise"
    images, cell = data.pixels(rows[30:]), size // 8
    hidden = masks_of(data.ids(rows[30:]), 8, Masks(pattern="random", ratio=ratio, cell=cell), seed=0)
    dark = in_pixels(hidden, cell)
    filled = fill(images.masked_fill(dark, 0.0), hidden)
    assert (filled - images).abs().max() < 0.02
    assert torch.equal(torch.where(dark, 0, filled), torch.where(dark, 0, images))
    assert torch.equal(fill(images.masked_fill(dark, 0.7), hidden), filled)
    assert torch.allclose(fill(images[3:4].masked_fill(dark[3:4], 0.0), hidden[3:4]), filled[3:4], atol=1e-3), "rows do not touch"
