"""What a notebook does: a picture's features, and a picture from features alone."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
import yaml

from relume import api
from relume.core.errors import UserError
from relume.core.images import save_png
from relume.features import networks

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def random_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "load", lambda name, store, device: networks.random(name, seed=0))


def test_from_a_picture_to_features_and_back(tmp_path: Path) -> None:
    save_png(tmp_path / "cat.png", skimage.data.chelsea())
    picture = api.picture(tmp_path / "cat.png", size=64)
    assert picture.shape == (1, 3, 64, 64)
    targets = api.features(picture, "alexnet_conv", ["conv2"])
    steps: list[int] = []
    found = api.invert(
        targets, "alexnet_conv", size=64, params=ROOT / "params.yaml", report=lambda report: steps.append(report.step), steps=20
    )
    assert found.image.shape == (1, 64, 64, 3)
    assert found.image.dtype == np.uint8
    assert found.trace[-1]["objective"] < 0.5 * found.trace[0]["objective"]
    assert steps == [0, 10, 20]


@pytest.mark.parametrize("term", ["pixel", "lpips"])
def test_features_alone_cannot_serve_an_oracle(tmp_path: Path, term: str) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["losses"][term] = 1.0
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(UserError, match=f"{term} wants the picture"):
        api.invert({"conv2": torch.zeros(1, 192, 7, 7)}, "alexnet_conv", size=64, params=tmp_path / "params.yaml")


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello")
    with pytest.raises(UserError, match=r"note\.txt"):
        api.picture(tmp_path / "note.txt", size=64)
