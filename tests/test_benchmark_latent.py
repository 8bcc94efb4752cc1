"""The benchmark of latents on toys: what counts as found, how steps are counted, and one command that writes the table."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from benchmarks import latent
from relume.core.files import read_csv, read_json
from tests import latent_files as files
from tests.decoder_files import Store, training
from tests.evaluation_files import write_dataset

STUDY: dict[str, Any] = {
    "run": {"device": "cpu", "micro_batch": 4},
    "known": {"count": 3, "restarts": 2, "steps": 30, "rate": 0.05, "spaces": ["w", "w_plus"]},
    "mapper": {
        "network": "alexnet_conv",
        "taps": ["conv3"],
        "architecture": {"width": 8, "depth": 1, "grid": 2},
        "training": training(steps=4, log_every=2, validate_every=2),
    },
    "starts": {"steps": 6, "rates": [1.0e-6, 0.05], "validation": 2, "test": 3},
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, default_params: dict[str, Any]) -> Path:
    write_dataset(tmp_path / "data/images/toy", size=files.SIZE)
    files.write_gan(tmp_path / files.GENERATOR)
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(default_params))
    Path("toys.yaml").write_text(yaml.safe_dump(STUDY))
    monkeypatch.setattr(latent, "WeightStore", lambda *folders: Store())
    return tmp_path


def run() -> Any:
    words = ["--images", "data/images/toy", "--generator", files.GENERATOR, "--study", "toys.yaml", "--work", "work"]
    return CliRunner().invoke(latent.main, [*words, "--out", "out/latent.csv"])


@pytest.mark.slow
def test_one_command_writes_the_table(project: Path) -> None:
    result = run()
    assert result.exit_code == 0, result.output
    rows = read_csv(project / "out/latent.csv")
    asked: dict[str, list[tuple[str, ...]]] = {}
    for row in rows:
        asked.setdefault(row["question"], []).append((row["a"], row["b"], row["metric"]))
    assert asked["known_latent"] == [(a, "wanted", metric) for a in ("w", "w_plus") for metric in ("share_30_db", "psnr")]
    assert asked["mapper_start"] == [
        ("mapper", b if metric != "steps" else f"third_of_{b}", metric)
        for b in ("random", "mean")
        for metric in ("steps", "loss", "loss_before")
    ]
    floors = ("floor_mean_latent", "floor_dataset_mean", "floor_mean_picture", "floor_own_mean")
    assert asked["one_pass"] == [("mapper", floor, "psnr") for floor in floors]
    assert {float(row["mean_b"]) for row in rows if row["metric"] == "steps"} == {2.0}
    about = read_json(project / "out/latent.json")
    assert about["rates"] == {"random": 0.05, "mean": 0.05, "given": 0.05}, "the other moves nothing"
    assert (about["mapper"]["taps"], about["mapper"]["steps"]) == (["conv3"], 4)
    assert (project / "out/latent.jpg").exists()
    before = (project / "out/latent.csv").read_bytes()
    assert run().exit_code == 0
    assert (project / "out/latent.csv").read_bytes() == before


def test_steps_and_shares_by_hand() -> None:
    curve, names = np.array([[3.0, 5.0], [2.0, 3.0], [1.0, 2.0]]), ["a", "b"]
    assert latent.steps_to(curve, np.array([2.0, 3.0]), names).mean == 1, "2.5 is first met by the mean 2.5"
    assert latent.steps_to(curve, np.array([0.0, 1.0]), names).mean == 3, "never"
    alike = latent.steps_to(np.array([[3.0, 3.0], [1.0, 1.0]]), np.array([2.0, 2.0]), names)
    assert (alike.mean, alike.lo, alike.hi) == (1, 1, 1)
    apart = latent.steps_to(curve, np.array([2.0, 2.5]), names)
    assert (apart.mean, apart.lo, apart.hi) == (2, 1, 2), "a alone is there after a step, b alone after two"
    # none of n: 1 - (a/2)^(1/n); all of n: the mirror image
    assert latent.share(0, 10) == (0.0, pytest.approx(1 - 0.025**0.1))
    assert latent.share(10, 10) == (pytest.approx(0.025**0.1), 1.0)
    assert latent.share(45, 50)[0] == pytest.approx(0.7819, abs=1e-3)
