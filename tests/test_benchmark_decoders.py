"""The study of decoders: faults of its file, and a tiny study from photographs to tables that is not recomputed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from safetensors.torch import load_file

from benchmarks import decoder_runs, decoder_study, runs
from benchmarks.decoders import main
from relume.core.errors import UserError
from relume.core.files import read_csv, read_json, write_json
from relume.core.images import save_png
from relume.core.results import read_group
from relume.evaluation.comparison import LEADERBOARD
from relume.methods.decoder.model import read_decoder
from relume.methods.optimise import tuned
from relume.training import stage
from tests.decoder_files import training as few_steps
from tests.study_files import study_call

STEPS = 4


def plain() -> dict[str, Any]:
    return {
        "pixels": 32,
        "count": 2,
        "shared": {"architecture": {"width": 8}, "losses": {"lpips": 0.0}, "training": few_steps(steps=STEPS), "moments": 4},
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
    assert alone.config.steps == refined.config.steps == 3  # the parent takes as many
    assert (alone.config.split, alone.config.count) == (refined.config.split, refined.config.count) == ("val", 2)
    assert list(refined.config.taps) == ["conv2"]
    recipe = tuned.recipe(tuned.name_for("alexnet_conv", ["conv2"]))
    assert alone.config.losses.tv == recipe["losses"]["tv"]
    assert refined.config.losses.tv == 0.5
    assert refined.config.init.std == 0.0 < alone.config.init.std


CONV_ONLY = {"kind": "conv_only"}
CONV1: dict[str, Any] = {"network": "alexnet_conv", "taps": ["conv1"]}
NARROW = {"refine": {}, "depths": {}}
FAULTS: dict[str, dict[str, Any]] = {
    "metrics: psnr": {"metrics": ["ssim"]},
    "study.decoders.conv1.taps: ": {"decoders": {"conv1": CONV1 | {"taps": ["pool"], "architecture": CONV_ONLY}}, **NARROW},
    "refine.refined.decoder: one of the study's": {"refine": {"refined": {"decoder": "conv3"}}},
    "depths.alexnet: ": {"depths": {"alexnet": ["conv1", "conv3"]}},
    "ship: ": {"ship": ["conv3"]},
    "study.floors: ": {"floors": ["floor_blocks_8"]},
    "study.questions.q: ": {"questions": {"q": {"a": "conv1", "b": "conv9"}}},
    "study.base.count: ": {"base": {"count": 3}},
    "study.refine.refined.taps: ": {"refine": {"refined": {"decoder": "conv2", "taps": {}}}},
    "study.refine: ": {"refine": {"conv1": {"decoder": "conv2"}}},
}


@pytest.mark.parametrize("message", FAULTS)
def test_faults_are_named_before_any_work(message: str, default_params: dict[str, Any]):
    with pytest.raises(UserError) as caught:
        planned(default_params, **FAULTS[message])
    assert message in str(caught.value)


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    write_json(tmp_path / "models/weights/alexnet_conv/model.json", {"name": "alexnet_conv"})
    return study_call(tmp_path, monkeypatch, main)


@pytest.mark.slow
def test_a_study_from_photographs_to_tables(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch):
    result = call(plain())
    assert result.exit_code == 0, result.output
    board = read_csv(Path("out/toy.csv"))
    assert tuple(board[0]) == LEADERBOARD
    own = [line for line in board if line["family"] != "floor"]
    rows = {(line["method"], line["family"], line["tap"]) for line in own}
    decoded = {("conv1", "decoder", "conv1"), ("conv2", "decoder", "conv2"), ("both", "decoder", "conv1+conv2")}
    assert rows == decoded | {("conv2_alone", "optimise", "conv2"), ("refined", "hybrid", "conv2")}
    assert {(line["task"], line["oracle"], line["n"]) for line in own} == {("feature", "false", "2")}
    comparisons = read_csv(Path("out/toy_comparisons.csv"))
    asked = {(line["question"], line["a"], line["b"], line["metric"]) for line in comparisons}
    assert ("depth_alexnet", "conv1", "conv2", "psnr") in asked
    assert ("refined_alone", "refined", "conv2_alone", "feature_error") in asked
    errors = {(a, b) for _, a, b, metric in asked if metric == "feature_error"}
    assert errors == {("refined", "conv2"), ("refined", "conv2_alone")}, "errors at different taps are not comparable"
    assert ("against_floor_blocks_7", "both", "floor_blocks_7", "psnr") in asked
    about = read_json(Path("out/toy.json"))
    assert (about["n"], list(about["runs"]), about["runs"]["refined"]["steps"]) == (2, ["conv2_alone", "refined"], 3)
    told = about["decoders"]["conv1"]
    assert (told["steps"], told["batch"], told["train"]) == (STEPS, 2, 10)
    assert {row["id"] for row in read_group(Path("work/reconstructions/decoders_conv1")).index} == {"00.png", "10.png"}

    monkeypatch.setattr(stage, "train", lambda *given, **named: pytest.fail("nothing is to be trained anew"))
    monkeypatch.setattr(decoder_runs, "decode", lambda *given, **named: pytest.fail("nothing is to be decoded anew"))
    monkeypatch.setattr(runs, "invert", lambda prepared: pytest.fail("nothing is to be inverted anew"))
    first = Path("out/toy_comparisons.csv").read_bytes()
    assert call(plain()).exit_code == 0
    assert Path("out/toy_comparisons.csv").read_bytes() == first


@pytest.mark.slow
def test_what_ships_is_half_precision_and_learns_from_more_pictures(call: Callable[..., Result]):
    """But not from one that is a held-out picture at another size."""
    noise = np.random.default_rng(1).integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    for number, pixels in enumerate(noise):
        save_png(Path(f"more/{number}.png"), pixels)
    Image.open("noise/00.png").resize((88, 80)).save("more/copy.png")
    document = {**plain(), **NARROW, "decoders": {"conv1": CONV1}, "questions": {}, "ship": ["conv1"]}
    result = call(document, "--more", "more", "--ship", "shipped")
    assert result.exit_code == 0, result.output
    sources = {row["source"] for row in read_csv(Path("work/images/noise/index.csv")) if row["split"] == "train"}
    assert {f"more/{number}.png" for number in range(12)} == {one for one in sources if one.startswith("more/")}
    assert all(value.dtype == torch.float16 for value in load_file("shipped/conv1/model.safetensors").values())
    made = read_decoder(Path("shipped/conv1"), torch.device("cpu"))
    row = next(line for line in read_csv(Path("out/toy.csv")) if line["method"] == "conv1")
    assert made.card["test"]["psnr"] == float(row["psnr"])
    assert f"{float(row['psnr']):.2f}" in Path("shipped/README.md").read_text()
