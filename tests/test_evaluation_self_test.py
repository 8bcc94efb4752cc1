"""Metrics on trial: degradations by hand, what counts as ordered, and the stage, which fails by name."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner

from relume.core.config import build
from relume.core.errors import UserError
from relume.core.files import read_csv, write_json
from relume.evaluation.config import SelfTest
from relume.evaluation.metrics import METRICS, reid
from relume.evaluation.self_test import COLUMNS, blur, extractor, jpeg, mosaic, noisy
from stages.self_test import main
from tests.evaluation_files import write_dataset, write_weights

X = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_blur_spreads_a_point_into_a_gaussian() -> None:
    point = torch.zeros(1, 3, 33, 33)
    point[..., 16, 16] = 1
    spread = blur(point, 2.0)
    assert spread.sum().item() == pytest.approx(3, rel=1e-4)
    assert (spread[0, 0, 16, 18] / spread[0, 0, 16, 16]).item() == pytest.approx(math.exp(-4 / 8), rel=1e-3)
    assert torch.allclose(blur(torch.full_like(X, 0.3), 4.0), torch.full_like(X, 0.3), atol=1e-6)


def test_noise_blocks_and_jpeg() -> None:
    grey = torch.full((2, 3, 64, 64), 0.5)
    assert (noisy(grey, 0.05, ["a", "b"], 0) - grey).std().item() == pytest.approx(0.05, rel=0.05)
    assert torch.equal(noisy(grey, 0.05, ["a", "b"], 0)[1:], noisy(grey[1:], 0.05, ["b"], 0)), "a picture's own noise"
    block = mosaic(X, 8)
    assert block[0, 1, 0, 0].item() == pytest.approx(X[0, 1, :8, :8].mean().item(), abs=1e-6)
    assert torch.equal(block[..., 0, 0], block[..., 7, 7])
    errors = [(jpeg(X, quality) - X).square().mean().item() for quality in (95, 30, 5)]
    assert errors == sorted(errors)


def scores(**ladders: list[float]) -> dict[tuple[str, float], dict[str, np.ndarray]]:
    """psnr 100 for pictures themselves, then what the ladders say; two pictures, alike."""
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
def test_each_rung_is_worse_than_the_one_before(ladders: dict[str, list[float]], exceptions: Any, fault: str) -> None:
    verdict = extractor(scores(**ladders), [METRICS["psnr"]], ["a", "b"], exceptions, seed=0)
    assert [text.split(" ", 4)[-1] for text in verdict.faults] == ([fault] if fault else [])
    first = {"metric": "psnr", "degradation": "none", "strength": 0, "mean": 100, "lo": 100, "hi": 100, "ordered": True}
    assert verdict.rows[0] == first
    by_eye = [ladder[at] < (ladder[at - 1] if at else 100) for ladder in ladders.values() for at in range(len(ladder))]
    assert [row["ordered"] for row in verdict.rows[1:]] == by_eye


def test_pictures_against_themselves_are_at_their_best_and_ranks_may_tie_but_not_mend() -> None:
    wrong = {("none", 0.0): {"ssim": np.array([0.9, 0.9])}}
    (fault,) = extractor(wrong, [METRICS["ssim"]], ["a", "b"], {}, seed=0).faults
    assert "ssim" in fault
    absent = {("none", 0.0): {"ms_ssim": np.array([np.nan, np.nan])}}
    assert extractor(absent, [METRICS["ms_ssim"]], ["a", "b"], {}, seed=0).rows == []
    metric = reid("vgg16_conv", "pool")
    told = [("none", 0.0, 1), ("blur", 1.0, 1), ("blur", 2.0, 1), ("noise", 1.0, 3), ("noise", 2.0, 2)]
    verdict = extractor({(a, b): {metric.name: np.array([c, c])} for a, b, c in told}, [metric], ["a", "b"], {}, seed=0)
    assert ["noise" in fault for fault in verdict.faults] == [True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"jpeg": [5, 80]}, r"self_test\.jpeg: .*\[80, 5\]"),
        ({"blur": [1.0, 1.0]}, r"self_test\.blur"),
        ({"noise": [0.1]}, r"self_test\.noise"),
        ({"exceptions": {"psnrr": ["blur"]}}, "did you mean 'psnr'"),
        ({"exceptions": {"psnr": ["blurr"]}}, "did you mean 'blur'"),
    ],
)
def test_a_fault_is_named(default_params: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(SelfTest, {**default_params["self_test"], **changes}, "self_test")


def test_the_stage_writes_its_table_and_fails_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, default_params: dict[str, Any]
) -> None:
    monkeypatch.setattr("relume.networks.weights.PINS", {})
    write_dataset(tmp_path / "images" / "toy")
    weights = write_weights(tmp_path)
    write_json(tmp_path / "features" / "toy" / "alexnet_conv" / "stats.json", {"taps": {}, "pictures": 12})
    default_params["run"]["device"] = "cpu"
    default_params["evaluate"].update(
        metrics=["mse", "psnr", "ms_ssim", "lpips_alex", "feature_error"], other_taps=[], classifier=None
    )
    default_params["evaluate"].update(reid={"networks": [["alexnet_conv", "pool"]]}, sets=None)
    default_params["extract"]["cached"] = []
    default_params["self_test"].update(count=3, exceptions={"lpips_alex": ["blur", "noise", "jpeg", "blocks"]})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("relume.evaluation.views.cached", lambda *given: None)
    monkeypatch.setattr("relume.evaluation.scoring.cached", lambda *given: None)
    flags = ["--images", "images/toy", "--features", "features/toy", "--weights", str(weights), "--out", "self_test.csv"]
    # toys are made of blocks of 8 pixels, so smaller blocks are no degradation
    for blocks, code in (([16, 32], 0), ([2, 4], 1)):
        default_params["self_test"]["blocks"] = blocks
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(default_params))
        result = CliRunner().invoke(main, flags)
        assert result.exit_code == code, result.output
        table = read_csv(tmp_path / "self_test.csv")
        assert tuple(table[0]) == COLUMNS
    assert "self_test: mse does not order blocks" in result.stderr
    assert "psnr does not order blocks (2: 100, 4: 100)" in result.stderr
    assert {row["metric"] for row in table} == {"mse", "psnr", "lpips_alex", "reid_rank_alexnet_pool"}
    assert all(row["ordered"] == "true" for row in table if row["degradation"] == "none")
    assert [row["ordered"] for row in table if row["metric"] == "mse" and row["degradation"] == "floor"] == ["true", "true"]
    noise = [row for row in table if row["metric"] == "psnr" and row["degradation"] == "noise"]
    assert [float(row["mean"]) for row in noise[:2]] == pytest.approx([34, 26], abs=1), "-20 log10 of the deviation, some clipped"
