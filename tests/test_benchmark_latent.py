"""The benchmark of latents on toys: what counts as found, how steps are counted, and one command that writes the table."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner

from benchmarks import latent
from relume.core.config import build, merge
from relume.core.files import read_csv, read_json
from relume.models.mapper import build as made
from relume.models.mapper_config import MapperArchitecture
from relume.training.models import Trained, write_model
from relume.training.trained_gan import read_gan
from tests import latent_files as files
from tests.decoder_files import Store

SETS = ["--count", "3", "--restarts", "2", "--steps", "30", "--start-steps", "6"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, default_params: dict[str, Any]) -> Path:
    """With a mapper that says the mean latent whatever it sees."""
    files.project(tmp_path)
    monkeypatch.chdir(tmp_path)
    run = {"seed": 0, "device": "cpu", "precision": "float32", "micro_batch": 4}
    whole = {"run": run, "invert_optimise": default_params["invert_optimise"], "invert_latent": {"latents": files.group()}}
    Path("params.yaml").write_text(yaml.safe_dump(whole, sort_keys=False))
    monkeypatch.setattr(latent, "WeightStore", lambda *folders: Store())
    return tmp_path


def write_mapper(folder: Path) -> None:
    section = files.mapper_section()
    config = {**section["shared"], **section["models"]["toy_mapper"]}
    centre = read_gan(Path(files.GENERATOR), torch.device("cpu")).generator.running_mean
    architecture = build(MapperArchitecture, config["architecture"], "architecture")  # type: ignore[arg-type]
    tensors = made({"conv3": (384, 3, 3)}, centre, architecture).state_dict()
    trained = Trained(best=tensors, last=tensors, best_step=1, metrics={}, history=[], timing=[], progress=None)
    card = {"kind": "mapper", "name": folder.name, "size": files.SIZE, "latent": [5], "shapes": {"conv3": [384, 3, 3]}}
    write_model(folder, trained, {**card, "config": config}, np.zeros((4, 4, 3), np.uint8))


def run(*words: str) -> Any:
    return CliRunner().invoke(latent.main, ["--group", "latents", "--out", "out/latent.csv", *SETS, *words])


def test_one_command_writes_the_table(project: Path) -> None:
    write_mapper(project / files.MAPPER)
    result = run()
    assert result.exit_code == 0, result.output
    rows = read_csv(project / "out/latent.csv")
    known = [row for row in rows if row["question"] == "known_latent"]
    assert [(row["a"], row["metric"]) for row in known] == [
        (space, metric) for space in ("z", "w", "w_plus") for metric in ("share_30_db", "psnr")
    ]
    assert {(row["n"], row["size"], row["dataset"]) for row in known} == {("3", str(files.PAINTED), "toy")}
    starts = {(row["b"], row["metric"]): row for row in rows if row["question"] == "mapper_start"}
    assert set(starts) == {
        *((name, metric) for name in ("random", "mean") for metric in ("loss_before", "loss_after")),
        ("third_of_random", "steps"),
        ("third_of_mean", "steps"),
    }
    same = starts["mean", "loss_after"]
    assert float(same["diff"]) == pytest.approx(0, abs=1e-6), "this mapper says the mean"
    assert float(starts["third_of_mean", "steps"]["mean_a"]) <= 6
    assert float(starts["third_of_mean", "steps"]["mean_b"]) == 2
    about = read_json(project / "out/latent.json")
    assert {"command", "commit", "data", "n", "device", "seconds"} == set(about)


def test_known_latents_are_found_the_longer_the_better(project: Path) -> None:
    whole = yaml.safe_load(Path("params.yaml").read_text())
    run = latent.build(latent.Run, whole["run"], "run")
    made = latent.read_gan(Path(files.GENERATOR), torch.device("cpu")).generator
    base = merge(whole["invert_optimise"], whole["invert_latent"]["latents"]["base"])
    bench = latent.Bench(run=run, device=torch.device("cpu"), generator=made, base=base)
    short, long = (latent.known(bench, "w", count=3, restarts=2, steps=steps, rate=0.05) for steps in (1, 80))
    assert (long > short + 5).all()
    alone = latent.known(bench, "w", count=3, restarts=1, steps=80, rate=0.05)
    assert (long >= alone - 1e-2).all(), "the first restart is the same, the best of two is no worse"


def test_steps_are_counted_until_the_goal() -> None:
    curve = np.array([[3.0, 3.0], [2.0, 2.9], [1.0, 2.8]])
    assert latent.steps_to(curve, np.array([2.0, 2.0])).tolist() == [1, 3], "the second is never there"
    assert latent.steps_to(curve, np.array([3.0, 2.8])).tolist() == [0, 2]


def test_the_interval_of_a_share_by_hand() -> None:
    """None of n: 1 - (a/2)^(1/n); all of n: the mirror image."""
    assert latent.share(0, 10) == (0.0, pytest.approx(1 - 0.025**0.1))
    assert latent.share(10, 10) == (pytest.approx(0.025**0.1), 1.0)
    assert latent.share(45, 50)[0] == pytest.approx(0.7819, abs=1e-3)


def test_without_a_mapper_only_known_latents(project: Path) -> None:
    whole = yaml.safe_load(Path("params.yaml").read_text())
    whole["invert_latent"]["latents"] |= {"mapper": files.GENERATOR}
    Path("params.yaml").write_text(yaml.safe_dump(whole, sort_keys=False))
    assert run().exit_code == 0
    assert {row["question"] for row in read_csv(project / "out/latent.csv")} == {"known_latent"}
    assert "no group 'nobody'" in CliRunner().invoke(latent.main, ["--group", "nobody", "--out", "x.csv"]).output
