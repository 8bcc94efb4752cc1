"""The study of decoders: what its file may say, and a tiny one from photographs to tables, killed and taken up again."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from PIL import Image

from benchmarks import decoder_runs, decoder_study, runs
from benchmarks.decoders import main
from relume.core.errors import UserError
from relume.core.files import read_csv, read_json, write_json
from relume.core.images import save_png
from relume.core.results import read_group
from relume.evaluation.comparison import COMPARISONS, LEADERBOARD
from relume.methods.optimise import tuned
from relume.networks import network as networks
from relume.training import stage
from relume.training.models import read_model
from tests.decoder_files import fingerprint
from tests.decoder_files import training as few_steps

NET = networks.random("alexnet_conv", seed=0)
STEPS = 4


def plain() -> dict[str, Any]:
    """Three decoders, one of them refined."""
    return {
        "pixels": 32,
        "count": 2,
        "shared": {
            "architecture": {"width": 8},
            "losses": {"lpips": 0.0},
            "training": few_steps(steps=STEPS),
            "moments": 4,
        },
        "decoders": {
            "conv1": {"network": "alexnet_conv", "taps": ["conv1"]},
            "conv2": {"network": "alexnet_conv", "taps": ["conv2"]},
            "both": {"network": "alexnet_conv", "taps": ["conv1", "conv2"], "architecture": {"kind": "conv_only"}},
        },
        "losses": {"tv": 0.1, "alpha_norm": 0.2},
        "base": {"steps": 2, "trace_every": 1},
        "refine": {"refined": {"decoder": "conv2", "steps": 3, "losses": {"tv": 0.5}, "init": {"std": 0.0}}},
        "depths": {"alexnet": ["conv1", "conv2"]},
        "floors": ["floor_own_mean", "floor_blocks_7"],
        "metrics": ["psnr", "feature_error"],
        "questions": {"several_taps": {"a": "both", "b": "conv2"}},
    }


def planned(params: dict[str, Any], **changes: Any) -> decoder_study.Plan:
    wanted = decoder_study.build(decoder_study.DecoderStudy, {**plain(), **changes}, "study")
    return decoder_study.plan(wanted, params, dataset="toy", split="val")


def test_a_refinement_and_its_parent_differ_by_what_the_file_says(default_params: dict[str, Any]):
    found = planned(default_params)
    assert found.methods == ["conv1", "conv2", "both", "conv2_alone", "refined"]
    assert {config.dataset for config in found.decoders.values()} == {"toy"}
    alone, refined = found.jobs
    assert (alone.start, refined.start) == ("", "conv2")
    assert alone.config.steps == refined.config.steps == 3  # the parent gets as many
    assert (alone.config.split, alone.config.count) == (refined.config.split, refined.config.count) == ("val", 2)
    assert list(refined.config.taps) == ["conv2"]
    recipe = tuned.recipe(tuned.name_for("alexnet_conv", ["conv2"]))
    assert alone.config.optimiser.learning_rate == refined.config.optimiser.learning_rate
    assert [list(pair) for pair in alone.config.optimiser.learning_rate] == recipe["optimiser"]["learning_rate"]
    assert alone.config.losses.tv == recipe["losses"]["tv"]
    assert refined.config.losses.tv == 0.5
    assert refined.config.init.std == 0.0 < alone.config.init.std


def test_everything_is_asked_that_is_to_be_answered(default_params: dict[str, Any]):
    asked = {(name, one.a, one.b): one.metrics for name, one in planned(default_params).questions}
    floors = {
        (f"against_{floor}", one, floor) for floor in ("floor_own_mean", "floor_blocks_7") for one in ("conv1", "conv2", "both")
    }
    refined = {("refined_decoder", "refined", "conv2"), ("refined_alone", "refined", "conv2_alone")}
    others = {("depth_alexnet", "conv1", "conv2"), ("several_taps", "both", "conv2")}
    assert set(asked) == floors | refined | others
    for key, metrics in asked.items():  # errors in features of different taps are no one measure
        assert metrics == (("psnr", "feature_error") if key in refined else ("psnr",))


CONV1 = {"network": "alexnet_conv", "taps": ["conv1"]}
FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "a foreign key": ({"colour": 1}, "study.colour: unknown key"),
    "a foreign metric": ({"metrics": ["psnrr"]}, "did you mean 'psnr'"),
    "no order": ({"metrics": ["ssim"]}, "metrics: psnr is wanted"),
    "a tap that is none": ({"decoders": {"conv1": {**CONV1, "taps": ["conf1"]}}, "refine": {}, "depths": {}}, "no tap 'conf1'"),
    "no positions": (
        {"decoders": {"conv1": {**CONV1, "taps": ["pool"], "architecture": {"kind": "conv_only"}}}, "refine": {}, "depths": {}},
        "study.decoders.conv1.taps: architecture conv_only decodes maps; pool has no positions",
    ),
    "a setting that is none": ({"shared": {"trainign": {}}}, "trainign: unknown key"),
    "a decoder that is none": ({"refine": {"refined": {"decoder": "conv3"}}}, "refine.refined.decoder: one of the study's"),
    "nothing to refine": ({"refine": {"refined": {}}}, "refine.refined.decoder: one of the study's"),
    "a link that is none": ({"depths": {"alexnet": ["conv1", "conv3"]}}, "depths.alexnet: no decoder 'conv3'"),
    "a floor that is none": ({"floors": ["floor_blocks_8"]}, "study.floors: no method 'floor_blocks_8'"),
    "a question about nothing": ({"questions": {"q": {"a": "conv1", "b": "conv9"}}}, "study.questions.q: no method 'conv9'"),
    "what the study decides": ({"base": {"count": 3}}, "study.base.count: the study decides"),
    "what the decoder decides": (
        {"refine": {"refined": {"decoder": "conv2", "taps": {}}}},
        "study.refine.refined.taps: the study",
    ),
    "a name twice": ({"refine": {"conv1": {"decoder": "conv2"}}}, "study.refine: a method's name stands twice"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_named_before_any_work(name: str, default_params: dict[str, Any]):
    changes, message = FAULTS[name]
    with pytest.raises(UserError) as caught:
        planned(default_params, **changes)
    assert message in str(caught.value)


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs the study on fifteen pictures of noise with a network of random weights."""
    root = Path(__file__).parents[1]
    noise = np.random.default_rng(0).integers(0, 256, (15, 40, 44, 3), dtype=np.uint8)
    for number, pixels in enumerate(noise):
        save_png(tmp_path / "noise" / f"{number:02}.png", pixels)
    real = networks.load
    for module in [module for name, module in sys.modules.items() if name.startswith(("relume.", "benchmarks."))]:
        if getattr(module, "load", None) is real:
            monkeypatch.setattr(module, "load", lambda name, store, device: NET)
    write_json(tmp_path / "models/weights/alexnet_conv/model.json", {"name": "alexnet_conv"})
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "params.yaml").symlink_to(root / "params.yaml")
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)

    def invoke(document: dict[str, Any], *flags: str) -> Result:
        Path("study.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        fixed = ["--study", "study.yaml", "--folder", "noise", "--work", "work", "--device", "cpu", "--out", "out/toy.csv"]
        return CliRunner().invoke(main, [*fixed, *flags])

    return invoke


def weights(name: str, work: str = "work") -> str:
    return fingerprint(read_model(Path(work, "models/decoder", name))[0])


def test_a_study_from_photographs_to_tables(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch):
    result = call(plain())
    assert result.exit_code == 0, result.output
    board = read_csv(Path("out/toy.csv"))
    assert tuple(board[0]) == LEADERBOARD
    rows = {(line["method"], line["family"], line["tap"]) for line in board if line["family"] != "floor"}
    assert rows == {
        ("conv1", "decoder", "conv1"),
        ("conv2", "decoder", "conv2"),
        ("both", "decoder", "conv1+conv2"),
        ("conv2_alone", "optimise", "conv2"),
        ("refined", "hybrid", "conv2"),
    }
    assert {(line["task"], line["oracle"], line["n"]) for line in board if line["family"] != "floor"} == {
        ("feature", "false", "2")
    }
    assert all(float(line["seconds_per_image"]) > 0 for line in board)
    assert {"floor_dataset_mean", "floor_own_mean", "floor_blocks_7"} <= {line["method"] for line in board}
    comparisons = read_csv(Path("out/toy_comparisons.csv"))
    assert tuple(comparisons[0]) == COMPARISONS
    asked = {(line["question"], line["a"], line["b"], line["metric"]) for line in comparisons}
    assert ("depth_alexnet", "conv1", "conv2", "psnr") in asked
    assert ("refined_alone", "refined", "conv2_alone", "feature_error") in asked
    assert ("against_floor_blocks_7", "both", "floor_blocks_7", "psnr") in asked
    for table in ("toy", "toy_comparisons"):
        about = read_json(Path(f"out/{table}.json"))
        assert set(about) == {"command", "commit", "data", "n", "device", "seconds", "decoders", "runs"}
        assert (about["n"], list(about["runs"])) == (2, ["conv2_alone", "refined"])
        assert about["runs"]["refined"]["steps"] == 3
        told = about["decoders"]["conv1"]
        assert (told["steps"], told["batch"], told["train"]) == (STEPS, 2, 10)
        assert told["parameters"] > 0 < told["seconds"]
    with Image.open("out/toy.jpg") as picture:
        assert picture.width <= 1600
    assert {row["id"] for row in read_group(Path("work/reconstructions/decoders_conv1")).index} == {"00.png", "10.png"}

    monkeypatch.setattr(stage, "train", lambda *given, **named: pytest.fail("nothing is to be trained anew"))
    monkeypatch.setattr(decoder_runs, "decode", lambda *given, **named: pytest.fail("nothing is to be decoded anew"))
    monkeypatch.setattr(runs, "invert", lambda prepared: pytest.fail("nothing is to be inverted anew"))
    first = Path("out/toy_comparisons.csv").read_bytes()
    assert call(plain()).exit_code == 0
    assert Path("out/toy_comparisons.csv").read_bytes() == first


def test_some_methods_alone_and_later_the_others(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch):
    trained: list[str] = []
    train = stage.train

    def counted(trainer: Any, *given: Any, **named: Any) -> Any:
        trained.append(trainer.name)
        return train(trainer, *given, **named)

    monkeypatch.setattr(stage, "train", counted)
    assert call(plain(), "--only", "both").exit_code == 0
    assert trained == ["both"]
    assert not Path("out").exists()
    assert call(plain(), "--only", "refined").exit_code == 0  # and what it begins from
    assert trained == ["both", "conv2"]
    assert Path("work/reconstructions/decoders_refined/index.csv").exists()
    assert not Path("work/reconstructions/decoders_conv2_alone").exists()
    document = plain()
    document["decoders"]["both"]["losses"] = {"pixel": 0.5}
    assert call(document).exit_code == 0
    assert trained == ["both", "conv2", "conv1", "both"]  # the changed one again, the untouched one not
    refused = call(document, "--only", "bott")
    assert refused.exit_code == 1
    assert "--only: no method 'bott' in study.yaml; did you mean 'both'" in refused.output


def test_what_is_missing_or_out_of_place_is_said_first(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(decoder_runs, "DecoderTrainer", lambda **given: pytest.fail("nothing is to begin"))
    judged = call({**plain(), "metrics": ["psnr", "lpips_alex"]})
    assert judged.exit_code == 1
    assert "the weights of lpips_alex are not among those declared" in judged.output
    assert "there are 2" in call({**plain(), "count": 3}).output
    tuning = call(plain(), "--split", "val", "--out", "docs/results/toy.csv")
    assert tuning.exit_code == 1
    assert "tuning" in tuning.output
