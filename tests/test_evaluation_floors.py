"""Baselines; metrics order degradations; faults in sections of evaluation name their key."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner

from relume.core.errors import UserError
from relume.core.files import read_csv, write_json
from relume.core.images import to_float
from relume.evaluation.config import OWN_MEAN, Floors
from relume.evaluation.floors import blocks, floors, known, mean_picture, predict
from relume.evaluation.metrics import METRICS, reid
from relume.evaluation.pixel import psnr
from relume.evaluation.self_test import COLUMNS, blur, check_order, jpeg, noisy
from stages.self_test import main
from tests.evaluation_files import write_dataset


def config(**changes: Any) -> Floors:
    return Floors(**{"dataset": "toy", "split": "test", "count": None, "blocks": (4, 7), **changes})


def pictures(side: int = 30) -> torch.Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))


def test_blocks() -> None:
    x = torch.arange(5.0).expand(1, 3, 5, 5)  # columns 0 1 2 | 3 4
    wanted = torch.tensor([1.0, 1.0, 1.0, 3.5, 3.5]).expand(1, 3, 5, 5)
    assert torch.allclose(blocks(x, 2), wanted)
    pooled = torch.nn.functional.avg_pool2d(pictures(), 6)
    assert torch.allclose(blocks(pictures(), 5), torch.nn.functional.interpolate(pooled, scale_factor=6), atol=1e-6)
    x = pictures(32)
    ladder = [psnr(blocks(x, k).clamp(0, 1), x) for k in (1, 2, 4, 8, 16)]
    assert all((fine > coarse).all() for coarse, fine in zip(ladder, ladder[1:], strict=False))
    assert torch.allclose(blocks(x, 32), x, atol=1e-6)
    with pytest.raises(UserError, match="33 blocks"):
        blocks(x, 33)


def test_baselines_use_training_images_only(tmp_path: Path):
    data = write_dataset(tmp_path / "toy")
    assert {data.index[number]["split"] for number in known(data, "test")} == {"train"}
    assert {data.index[number]["split"] for number in known(data, "train")} == {"val"}
    wanted = data.pixels(data.select("train")).mean(0, keepdim=True)
    assert torch.allclose(mean_picture(data, data.select("train")), wanted, atol=1e-6)
    images, rows, _ = predict(data, config())
    colour = images[[row.method == "floor_dataset_mean" for row in rows]]
    assert (colour == (wanted.mean((2, 3)) * 255).round().byte().numpy().reshape(1, 1, 1, 3)).all()


def test_oracle_baselines(tmp_path: Path):
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
    assert [floor.oracle for floor in floors(alone, config())] == [True] * 3, "without training images all are oracles"


TAPS = {"pool": {"msd": 1.0, "cached": False}}
X = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_degradations() -> None:
    point = torch.zeros(1, 3, 33, 33)
    point[..., 16, 16] = 1
    spread = blur(point, 2.0)
    assert spread.sum().item() == pytest.approx(3, rel=1e-4)
    assert (spread[0, 0, 16, 18] / spread[0, 0, 16, 16]).item() == pytest.approx(math.exp(-4 / 8), rel=1e-3)
    assert torch.allclose(blur(torch.full_like(X, 0.3), 4.0), torch.full_like(X, 0.3), atol=1e-6)
    grey = torch.full((2, 3, 64, 64), 0.5)
    assert (noisy(grey, 0.05, ["a", "b"], 0) - grey).std().item() == pytest.approx(0.05, rel=0.05)
    assert torch.equal(noisy(grey, 0.05, ["a", "b"], 0)[1:], noisy(grey[1:], 0.05, ["b"], 0)), "noise per image"
    errors = [(jpeg(X, quality) - X).square().mean().item() for quality in (95, 30, 5)]
    assert errors == sorted(errors)


def scores(**ladders: list[float]) -> dict[tuple[str, float], dict[str, np.ndarray]]:
    told = {("none", 0.0): 100.0} | {
        (name, float(at)): value for name, values in ladders.items() for at, value in enumerate(values, 1)
    }
    return {rung: {"psnr": np.array([value, value])} for rung, value in told.items()}


@pytest.mark.parametrize(
    ("ladders", "exceptions", "fault"),
    [
        ({"blur": [30, 20], "floor": [15, 10]}, {}, ""),
        ({"blur": [30, 30]}, {}, "blur (1: 30, 2: 30)"),
        ({"blur": [30, 31], "noise": [30, 20]}, {"psnr": ("blur",)}, ""),
        ({"blur": [30, 20], "floor": [10, 15]}, {}, "floor (1: 10, 2: 15)"),
        ({"blur": [100, 20]}, {}, "blur (1: 100, 2: 20)"),
    ],
)
def test_check_order(ladders: dict[str, list[float]], exceptions: Any, fault: str) -> None:
    verdict = check_order(scores(**ladders), [METRICS["psnr"]], ["a", "b"], exceptions, seed=0)
    assert [text.split(" ", 4)[-1] for text in verdict.faults] == ([fault] if fault else [])
    first = {"metric": "psnr", "degradation": "none", "strength": 0, "mean": 100, "lo": 100, "hi": 100, "ordered": True}
    assert verdict.rows[0] == first
    by_eye = [ladder[at] < (ladder[at - 1] if at else 100) for ladder in ladders.values() for at in range(len(ladder))]
    assert [row["ordered"] for row in verdict.rows[1:]] == by_eye


def test_check_order_of_identical_images_and_ranks() -> None:
    wrong = {("none", 0.0): {"ssim": np.array([0.9, 0.9])}}
    (fault,) = check_order(wrong, [METRICS["ssim"]], ["a", "b"], {}, seed=0).faults
    assert "ssim" in fault
    absent = {("none", 0.0): {"ms_ssim": np.array([np.nan, np.nan])}}
    assert check_order(absent, [METRICS["ms_ssim"]], ["a", "b"], {}, seed=0).rows == []
    metric = reid("vgg16_conv", "pool")
    told = [("none", 0.0, 1), ("blur", 1.0, 1), ("blur", 2.0, 1), ("noise", 1.0, 3), ("noise", 2.0, 2)]
    verdict = check_order({(a, b): {metric.name: np.array([c, c])} for a, b, c in told}, [metric], ["a", "b"], {}, seed=0)
    assert ["noise" in fault for fault in verdict.faults] == [True]


def test_self_test_stage(tmp_path, weights, monkeypatch, default_params) -> None:
    write_dataset(tmp_path / "images" / "toy")
    write_json(tmp_path / "features" / "toy" / "alexnet_conv" / "stats.json", {"taps": TAPS, "pictures": 12, "kept": None})
    default_params["run"]["device"] = "cpu"
    measured = ["mse", "psnr", "ms_ssim", "lpips_alex", "feature_error"]
    reid = {"networks": [["alexnet_conv", "pool"]]}
    default_params["evaluate"].update(metrics=measured, other_taps=[], classifier=None, reid=reid, sets=None)
    default_params["extract"]["cached"] = []
    default_params["self_test"].update(count=3, exceptions={"lpips_alex": ["blur", "noise", "jpeg", "blocks"]})
    monkeypatch.chdir(tmp_path)
    flags = ["--images", "images/toy", "--features", "features/toy", "--weights", str(weights), "--out", "self_test.csv"]
    # toy images are blocks of 8 px, so smaller blocks change nothing
    for sizes, code in (([16, 32], 0), ([2, 4], 1)):
        default_params["self_test"]["blocks"] = sizes
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(default_params))
        result = CliRunner().invoke(main, flags)
        assert result.exit_code == code, result.output
        table = read_csv(tmp_path / "self_test.csv")
        assert tuple(table[0]) == COLUMNS
    assert "psnr does not order blocks (2: 100, 4: 100)" in result.stderr
    assert {row["metric"] for row in table} == {"mse", "psnr", "lpips_alex", "reid_rank_alexnet_pool"}
    assert all(row["ordered"] == "true" for row in table if row["degradation"] == "none")
    assert [row["ordered"] for row in table if row["metric"] == "mse" and row["degradation"] == "floor"] == ["true", "true"]
    noise = [row for row in table if row["metric"] == "psnr" and row["degradation"] == "noise"]
    assert [float(row["mean"]) for row in noise[:2]] == pytest.approx([34, 26], abs=1), "-20 log10 of the deviation, some clipped"
