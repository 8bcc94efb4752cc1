"""Floors: exact block means at any size, blind floors that never see what they predict, and the stage."""

from pathlib import Path
from typing import Any

import pytest
import torch

from relume.core.errors import UserError
from relume.core.images import to_float
from relume.evaluation.config import OWN_MEAN, Floors
from relume.evaluation.floors import blocks, floors, known, mean_picture, predict
from relume.evaluation.pixel import psnr
from tests.evaluation_files import write_dataset


def config(**changes: Any) -> Floors:
    return Floors(**{"dataset": "toy", "split": "test", "count": None, "blocks": (4, 7), **changes})


def pictures(side: int = 30) -> torch.Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))


def test_blocks_are_means_of_a_partition():
    x = torch.arange(5.0).expand(1, 3, 5, 5)  # columns 0 1 2 | 3 4
    wanted = torch.tensor([1.0, 1.0, 1.0, 3.5, 3.5]).expand(1, 3, 5, 5)
    assert torch.allclose(blocks(x, 2), wanted)
    pooled = torch.nn.functional.avg_pool2d(pictures(), 6)
    assert torch.allclose(blocks(pictures(), 5), torch.nn.functional.interpolate(pooled, scale_factor=6), atol=1e-6)


def test_finer_blocks_are_nearer_until_they_are_the_picture():
    x = pictures(32)
    ladder = [psnr(blocks(x, k).clamp(0, 1), x) for k in (1, 2, 4, 8, 16)]
    assert all((fine > coarse).all() for coarse, fine in zip(ladder, ladder[1:], strict=False))
    assert torch.allclose(blocks(x, 32), x, atol=1e-6)
    with pytest.raises(UserError, match="33 blocks"):
        blocks(x, 33)


def test_blind_floors_look_at_training_pictures_only(tmp_path: Path):
    data = write_dataset(tmp_path / "toy")
    assert {data.index[number]["split"] for number in known(data, "test")} == {"train"}
    assert {data.index[number]["split"] for number in known(data, "train")} == {"val"}
    wanted = data.pixels(data.select("train")).mean(0, keepdim=True)
    assert torch.allclose(mean_picture(data, data.select("train")), wanted, atol=1e-6)
    images, rows, _ = predict(data, config())
    colour = images[[row.method == "floor_dataset_mean" for row in rows]]
    assert (colour == (wanted.mean((2, 3)) * 255).round().byte().numpy().reshape(1, 1, 1, 3)).all()


def test_rows_say_what_has_seen_the_picture(tmp_path: Path):
    data = write_dataset(tmp_path / "toy")
    images, rows, timing = predict(data, config(count=3))
    oracle = {row.method: row.oracle for row in rows}
    assert [name for name, sees in oracle.items() if not sees] == ["floor_dataset_mean", "floor_mean_picture"]
    assert [name for name, sees in oracle.items() if sees] == [OWN_MEAN, "floor_blocks_4", "floor_blocks_7"]
    assert images.shape == (15, 32, 32, 3)
    assert [row.id for row in rows[:3]] == data.ids(data.select("test"))[:3]
    assert [line["method"] for line in timing] == list(oracle)
    own = to_float(images[[row.method == OWN_MEAN for row in rows]])
    assert torch.allclose(own, blocks(data.pixels(data.select("test", 3)), 1), atol=0.5 / 255 + 1e-6)
    alone = write_dataset(tmp_path / "tests/toy", splits=("test",))
    assert [floor.oracle for floor in floors(alone, config())] == [True] * 3, "without training pictures none is blind"
