"""From a generator to a landscape to a group on toy files: rows of every method, equal bytes, a kill, faults by name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result

from relume.core.files import read_csv, read_json
from relume.core.results import read_group
from relume.evaluation.curves import CURVES
from relume.training.loop import Course
from stages import invert_landscape, train_landscape, train_mapper
from tests import landscape_files as files
from tests.decoder_files import Store, together, training
from tests.latent_files import GENERATOR, MAPPER, mapper_section, project

MODEL = {"model.safetensors", "last.safetensors", "model.json", "history.csv", "samples.png", "progress.jpg"}
GROUP = {"images.npy", "index.csv", "path.npy", "path.csv", "trace.csv", "curves.csv"}
MAPPED = {"plain_mapper": False, "landscape_mapper": True}


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project(tmp_path)
    monkeypatch.chdir(tmp_path)
    sections = ("train_mapper", "train_landscape", "invert_landscape")
    ways = {
        name: {"start": "mapper", "theta": theta, "steps": 1, "learning_rate": 0.1, "betas": [0.9, 0.999]}
        for name, theta in MAPPED.items()
    }
    own = files.group(generator=GENERATOR, landscape="models/landscape/toy", mapper=MAPPER)
    models = {"toy": {"generator": GENERATOR}, "alone": {"generator": GENERATOR, "training": training(batch=2, steps=1)}}
    params = {
        "run": {"seed": 0, "device": "cpu", "precision": "float32", "micro_batch": 2},
        "train_mapper": mapper_section(training=training(steps=2)),
        "train_landscape": {"shared": files.shared(losses=files.PLAIN_LOSS), "models": models},
        "invert_landscape": {"pictures": own | {"methods": own["methods"] | ways}},
        "compare": {"level": 0.95, "resamples": 50},
    }
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": dict.fromkeys(sections, {"deps": []})}))
    for name in ("DVC_STAGE", "RELUME_SCRATCH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("relume.params.check", lambda whole: None)
    for place in (train_mapper, train_landscape, invert_landscape):
        monkeypatch.setattr(place, "WeightStore", lambda *folders: Store())
    return tmp_path


def ran(command: Any, *words: str, **options: str) -> Result:
    given = {"images": "data/images/toy", "weights": "models/weights", "generator": GENERATOR} | options
    return CliRunner().invoke(command.main, [*words, *(part for key, value in given.items() for part in (f"--{key}", value))])


def trained(name: str = "toy", out: str = "models/landscape") -> Result:
    return ran(train_landscape, model=name, out=f"{out}/{name}", timing=f"metrics/{name}.csv")


def inverted(out: str = "data/reconstructions/pictures") -> Result:
    return ran(invert_landscape, group="pictures", landscape="models/landscape/toy", mapper=MAPPER, out=out)


def test_from_training_to_a_group(toy: Path) -> None:
    assert ran(train_mapper, model="toy_mapper", out=MAPPER, timing="metrics/mapper.csv").exit_code == 0
    result = trained()
    assert result.exit_code == 0, result.output
    assert "a loss of" in result.output
    assert {path.name for path in Path("models/landscape/toy").iterdir()} == MODEL
    card = read_json(Path("models/landscape/toy/model.json"))
    assert {"code", "params", "sha256", "metrics", "parameters", "data", "size", "device", "generator", "latent"} <= set(card)
    terms = {row["term"] for row in read_csv(Path("models/landscape/toy/history.csv"))}
    assert {"train/loss", "val/loss", "val/loss_plain", "val/psnr", "val/floor_plain"} <= terms

    result = inverted()
    assert result.exit_code == 0, result.output
    group = read_group(Path("data/reconstructions/pictures"))
    assert {path.name for path in group.folder.iterdir()} == GROUP
    rows = [(row["method"], row["family"], row["restart"]) for row in group.index[::3]]
    assert rows == [
        *(("plain", "latent", seed) for seed in "01"),
        *(("landscape", "landscape", seed) for seed in "01"),
        ("plain_mapper", "latent", "0"),
        ("landscape_mapper", "landscape", "0"),
    ]
    assert {(row["task"], row["oracle"], row["network"], row["size"]) for row in group.index} == {("image", "false", "", "64")}
    chosen = [row for row in group.index if row["selected"] == "true"]
    assert len(chosen) == 4 * 3
    curves = read_csv(group.folder / "curves.csv")
    assert tuple(curves[0]) == CURVES
    last = [float(row["value"]) for row in curves if (row["method"], row["seed"], row["step"]) == ("plain", "", "4")]
    assert last == pytest.approx([np.mean([float(row["objective"]) for row in group.index[:6]])], rel=1e-5)
    assert [row["step"] for row in group.timing if row["method"] == "landscape"] == ["0", "1", "2"]
    assert not list(toy.glob(".dvc/tmp/resume/*")), "nothing is left in the scratch"


def test_equal_inputs_give_equal_bytes_and_a_killed_training_goes_on(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert trained(out="whole").exit_code == 0
    monkeypatch.setattr("relume.core.checkpoint.Checkpoint.due", lambda self: True)
    advance, steps = Course.advance, []

    def killed(self: Course) -> None:
        steps.append(self.step)
        if len(steps) == 5:
            raise KeyboardInterrupt
        advance(self)

    monkeypatch.setattr(Course, "advance", killed)
    assert trained(out="late").exit_code != 0
    assert trained(out="late").exit_code == 0
    assert steps[5] == 4, "it went on from its last checkpoint"
    for file in MODEL:
        assert (toy / "whole/toy" / file).read_bytes() == (toy / "late/toy" / file).read_bytes(), file


def test_what_cannot_be_stops_it_before_the_work(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = trained("nobody")
    assert result.exit_code == 1
    assert "train_landscape.models.nobody: missing" in result.output
    result = inverted()
    assert result.exit_code == 1
    assert "model.json is missing" in result.output
    monkeypatch.setattr(train_landscape, "ranks", together(2))
    monkeypatch.setattr(train_landscape, "landscape_lesson", lambda **_: pytest.fail("work has begun"))
    result = trained("alone")
    assert result.exit_code == 1
    assert "train_landscape.models.alone.descents.walkers: 2 processes have 1 rows of a batch each; got 2" in result.output
