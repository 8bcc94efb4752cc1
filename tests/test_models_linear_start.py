"""Linear prediction of hidden pixels, and models that begin with it: answers known by construction."""

from pathlib import Path
from typing import Any

import pytest
import torch

from relume.core.images import to_uint8
from relume.core.runtime import generator
from relume.data.config import Masks
from relume.data.linear import NOISES, LinearFill
from relume.data.masks import in_pixels, masks_of
from relume.data.store import Dataset
from relume.methods.masked.model import read_masked
from tests.toy_masked import ENERGY, trainer, write_masked

BEGUN: dict[str, dict[str, Any]] = {
    "energy transformer": {"architecture": ENERGY | {"start": "linear"}},
    "unet": {"architecture": {"kind": "unet", "width": 4, "depth": 1}},
}


@pytest.fixture(scope="module")
def data() -> Dataset:
    toy = dataset(16, 40)
    for row, entry in enumerate(toy.index):
        entry["split"] = "train" if row < 32 else "val"
    return toy


@pytest.mark.parametrize("case", BEGUN)
def test_untrained_models_predict_the_linear_prediction(case: str, data: Dataset, tmp_path: Path) -> None:
    made = trainer(data, **BEGUN[case])
    rows = data.select("val")
    images, hidden = data.pixels(rows), torch.rand(len(rows), 4, 4) < 0.6
    hidden[:, 0, 0], hidden[:, 1, 1] = False, True
    dark = in_pixels(hidden, 4)
    wanted = LinearFill.fit(data, data.select("train"))(images.masked_fill(dark, 0.0), hidden)
    assert torch.allclose(made.module(images, hidden).picture, wanted, atol=5e-3)
    write_masked(tmp_path, data, "et", **BEGUN[case])
    read = read_masked(tmp_path / "et", torch.device("cpu"))
    assert torch.allclose(read.predict(images.masked_fill(dark, 0.3), hidden), wanted, atol=5e-3)


def test_rows_of_a_batch_share_masks(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty-two rows per solve."""
    made, seen = trainer(data, **BEGUN["unet"]), []
    forward = made.module.forward
    monkeypatch.setattr(made.module, "forward", lambda images, hidden, draw: seen.append(hidden) or forward(images, hidden, draw))
    made.loss([row % 32 for row in range(40)], [torch.Generator().manual_seed(row) for row in range(40)])
    assert len(seen[0]) == 40
    assert len(seen[0].unique(dim=0)) == 2


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
