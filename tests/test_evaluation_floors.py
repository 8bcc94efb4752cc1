"""Floors: exact block means at any size, blind floors that never see what they predict, and the stage."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner

from relume.core.errors import UserError
from relume.core.files import read_csv, read_json
from relume.core.images import save_png, to_float
from relume.core.results import read_group
from relume.evaluation.config import OWN_MEAN, Floors
from relume.evaluation.floors import blocks, floors, known, mean_picture, predict
from relume.evaluation.pixel import psnr
from stages.floors import main
from tests.evaluation_files import write_dataset


def config(**changes: Any) -> Floors:
    return Floors(**{"dataset": "toy", "split": "test", "count": None, "blocks": (4, 7), **changes})


def pictures(side: int = 30) -> torch.Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))


def test_blocks_are_the_means_of_a_partition_when_sides_do_not_divide():
    x = torch.arange(5.0).expand(1, 3, 5, 5)  # columns 0 1 2 | 3 4
    wanted = torch.tensor([1.0, 1.0, 1.0, 3.5, 3.5]).expand(1, 3, 5, 5)
    assert torch.allclose(blocks(x, 2), wanted)


def test_blocks_agree_with_pooling_where_sides_divide():
    x = pictures()
    pooled = torch.nn.functional.avg_pool2d(x, 6)
    assert torch.allclose(blocks(x, 5), torch.nn.functional.interpolate(pooled, scale_factor=6), atol=1e-6)


@pytest.mark.parametrize("k", [1, 2, 7, 13, 30])
def test_blocks_keep_the_mean_and_do_nothing_twice(k: int):
    x = pictures()
    once = blocks(x, k)
    assert torch.allclose(blocks(once, k), once, atol=1e-6)
    assert once.shape == x.shape
    if 30 % k == 0:
        assert torch.allclose(once.mean((2, 3)), x.mean((2, 3)), atol=1e-6)
    assert len(once[0, 0].unique()) <= k * k * 2  # last bits may differ


def test_finer_blocks_are_nearer_until_they_are_the_picture():
    x = pictures(32)
    ladder = [psnr(blocks(x, k).clamp(0, 1), x) for k in (1, 2, 4, 8, 16)]
    assert all((fine > coarse).all() for coarse, fine in zip(ladder, ladder[1:], strict=False))
    assert torch.allclose(blocks(x, 32), x, atol=1e-6)
    with pytest.raises(UserError, match="33 blocks do not fit 32 pixels"):
        blocks(x, 33)


def test_no_block_colour_is_nearer_than_its_mean():
    x = pictures()
    error = (blocks(x, 4) - x).square().mean()
    assert all((blocks(x, 4) + shift - x).square().mean() > error for shift in (-0.01, 0.01))


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
    assert oracle == {
        "floor_dataset_mean": False,
        "floor_mean_picture": False,
        OWN_MEAN: True,
        "floor_blocks_4": True,
        "floor_blocks_7": True,
    }
    assert images.shape == (15, 32, 32, 3)
    assert [row.id for row in rows[:3]] == data.ids(data.select("test"))[:3]
    assert {(row.family, row.task, row.network, row.tap) for row in rows} == {("floor", "feature", "", "")}
    assert [line["method"] for line in timing] == list(oracle)
    own = to_float(images[[row.method == OWN_MEAN for row in rows]])
    assert torch.allclose(own, blocks(data.pixels(data.select("test", 3)), 1), atol=0.5 / 255 + 1e-6)


def test_a_dataset_of_test_pictures_only_has_no_blind_floors(tmp_path: Path):
    data = write_dataset(tmp_path / "toy", splits=("test",))
    assert [floor.oracle for floor in floors(data, config())] == [True] * 3


def test_another_dataset_or_split_is_named(tmp_path: Path):
    data = write_dataset(tmp_path / "toy")
    with pytest.raises(UserError, match="floors.dataset is photos, but --images holds toy"):
        predict(data, config(dataset="photos"))
    with pytest.raises(UserError, match="no images in split 'tset'"):
        predict(data, config(split="tset"))


def test_the_stage_writes_the_same_group_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, default_params: dict[str, Any]):
    write_dataset(tmp_path / "photos")
    default_params["floors"].update(count=2, blocks=[4])
    root = Path(__file__).parents[1]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(default_params))
    for name in ("dvc.yaml", "src", "stages"):  # provenance hashes the code that the stage declares
        (tmp_path / name).symlink_to(root / name)
    monkeypatch.chdir(tmp_path)
    for out in ("a", "b"):
        result = CliRunner().invoke(main, ["--images", "photos", "--out", out])
        assert result.exit_code == 0, result.output
    groups = [read_group(Path(out)) for out in ("a", "b")]
    assert np.array_equal(groups[0].images, groups[1].images)
    assert Path("a/index.csv").read_bytes() == Path("b/index.csv").read_bytes()
    assert len(groups[0].index) == 8
    assert set(groups[0].method) >= {"config", "device", "code", "params"}


def test_the_benchmark_scores_every_picture_once(tmp_path: Path):
    from benchmarks.floors import main as benchmark

    noise = np.random.default_rng(0).integers(0, 256, (10, 60, 50, 3), dtype=np.uint8)
    for number, pixels in enumerate(noise):
        save_png(tmp_path / "noise" / "any" / f"{number}.png", pixels)
    flags = ["--size", "32", "--blocks", "4", "--metrics", "psnr", "--device", "cpu"]
    out = tmp_path / "floors_noise.csv"
    result = CliRunner().invoke(benchmark, ["--folder", str(tmp_path / "noise"), *flags, "--out", str(out)])
    assert result.exit_code == 0, result.output
    board = {line["method"]: line for line in read_csv(out)}
    assert {line["n"] for line in board.values()} == {line["sources"] for line in board.values()} == {"10"}
    psnr_of = {name: float(line["psnr"]) for name, line in board.items()}
    assert psnr_of["floor_mean_picture"] < psnr_of["floor_dataset_mean"] < psnr_of[OWN_MEAN] < psnr_of["floor_blocks_4"]
    about = read_json(out.with_suffix(".json"))
    assert set(about) == {"command", "commit", "data", "n", "device", "seconds"}
    assert about["n"] == 10
