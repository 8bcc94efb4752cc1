"""The presets of denoisers: every stage of one run on toys in the owner's format."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from relume.core.files import read_csv
from tests import data_files as files
from tests.preset_files import run_all, toy_project, whole

TOY = {"widths": [8, 16], "features": 8, "depth": 1}
SHORT = {"steps": 2, "batch": 2, "log_every": 1, "validate_every": 2}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with toy_project(tmp_path, monkeypatch) as store:
        yield store


@pytest.mark.slow
def test_diffusion_64_runs_on_the_owners_zip(project: Path) -> None:
    """All stages; without optimisation and decoders, whose presets are run elsewhere."""
    files.tiny_imagenet(project, classes=2, val=3)
    params = whole("diffusion_64")
    params["prepare"]["datasets"]["tiny_imagenet"].update(classes=2, test=6, val=2)
    params["run"].update(device="cpu", micro_batch=4)
    params["extract"].update(pictures=2)
    params["floors"]["count"] = params["invert_optimise"]["count"] = None
    params["recipes"], params["train_decoder"]["decoders"], params["invert_decoder"] = {}, {}, {}
    shared, group = params["train_diffusion"]["shared"], params["invert_diffusion"]["denoised"]
    shared["architecture"].update(TOY)
    shared["training"].update(SHORT)
    shared["moments"] = 2
    group.update(count=None, steps=2, draws=2)
    questions = {"answer_or_draw": {"a": "denoiser_conv5_direct", "b": "denoiser_conv5_sample", "metrics": ["psnr"]}}
    params["compare"].update(groups=["floors", "denoised"], questions=questions, resamples=1000)
    run_all(params)
    board = {row["method"]: row["tap"] for row in read_csv(Path("metrics/leaderboard.csv"))}
    ways = ("direct", "sample", "mean")
    assert {f"denoiser_{tap}_{way}": tap for tap in ("conv3", "conv5") for way in ways}.items() <= board.items()
    assert [row["n"] for row in read_csv(Path("metrics/report/spread.csv"))] == ["6", "6"]
    assert "What the features leave open" in Path("metrics/report/index.html").read_text()
