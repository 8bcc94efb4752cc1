"""Models that begin with the linear prediction: untrained they predict it, and their weights hold it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from relume.data.linear import LinearFill
from relume.data.masks import in_pixels
from relume.data.store import Dataset
from relume.methods.masked.model import read_masked
from tests.test_data_linear import dataset
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
