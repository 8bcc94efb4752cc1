"""The two stages of decoders on toy files: a model's folder, a group of one method per decoder, equal bytes, faults by name."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from PIL import Image

from relume.core.errors import UserError
from relume.core.files import read_csv, read_json
from relume.core.images import to_uint8
from relume.core.results import Row, read_group
from relume.core.runtime import describe
from relume.data.store import Dataset
from relume.methods.decoder.config import InvertDecoder
from relume.methods.decoder.infer import decode
from relume.methods.decoder.trained import TrainedDecoder, read_decoder
from relume.networks import network as networks
from relume.networks.extract import ForwardPass, Pictures, extract
from relume.networks.taps import collect
from relume.training.loop import Course
from relume.training.ranks import Ranks
from stages import invert_decoder, train_decoder
from tests.decoder_files import CPU, Store, dataset, shared, together

DECODERS = {
    "deep": {"network": "alexnet_conv", "taps": ["conv5"]},
    "both": {"network": "alexnet_conv", "taps": ["conv5", "conv2"], "losses": {"lpips": 0.1}},
    "published": {"network": "alexnet_conv", "taps": ["conv2"], "architecture": {"kind": "per_layer"}},
    "vector": {"network": "alexnet_conv", "taps": ["pool"]},
}
FILES = ("model.safetensors", "last.safetensors", "model.json", "history.csv", "samples.png", "progress.jpg")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a dataset and parameters; networks have random weights."""
    dataset(tmp_path / "data/images")
    params: dict[str, Any] = {
        "run": {"seed": 0, "device": "cpu", "precision": "float32", "micro_batch": 3},
        "train_decoder": {"shared": shared(), "decoders": DECODERS},
        "invert_decoder": {"decoders": {"dataset": "toy", "split": "test", "count": None, "decoders": list(DECODERS)}},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (tmp_path / "dvc.yaml").write_text(
        yaml.safe_dump({"stages": dict.fromkeys(("train_decoder", "invert_decoder"), {"deps": []})})
    )
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_STAGE", "RELUME_SCRATCH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("relume.params.check", lambda whole: None)
    for place in (train_decoder, invert_decoder):
        monkeypatch.setattr(place, "WeightStore", lambda *folders: Store())
    return tmp_path


def train(name: str, out: Path = Path("models/decoder")) -> Result:
    options = {"--decoder": name, "--images": "data/images/toy", "--weights": "models/weights"}
    options |= {"--out": str(out / name), "--timing": f"metrics/training/{name}.csv"}
    options["--features"] = DECODERS.get(name, {}).get("features", "data/images/toy")
    return CliRunner().invoke(train_decoder.main, [part for pair in options.items() for part in pair])


def invert(out: str = "data/reconstructions/decoders") -> Result:
    options = {"--group": "decoders", "--images": "data/images/toy", "--weights": "models/weights"}
    options |= {"--models": "models/decoder", "--out": out}
    return CliRunner().invoke(invert_decoder.main, [part for pair in options.items() for part in pair])


def test_from_training_to_a_group(project: Path) -> None:
    for name in DECODERS:
        result = train(name)
        assert result.exit_code == 0, result.output
        assert f"{name}: " in result.output
        assert "own mean colours" in result.output
    card = read_json(project / "models/decoder/both/model.json")
    assert (card["config"]["taps"], card["size"], card["parameters"] > 1000) == (["conv5", "conv2"], 64, True)
    assert {"code", "params", "sha256", "metrics", "best_step", "data", "shapes", "device"} <= set(card)
    history = read_csv(project / "models/decoder/both/history.csv")
    assert {"train/loss", "train/pixel", "train/lpips", "val/psnr", "val/floor_own_mean"} <= {row["term"] for row in history}
    assert {path.name for path in (project / "models/decoder/both").iterdir()} == set(FILES)
    assert Image.open(project / "models/decoder/both/progress.jpg").size == (4 * 66 - 2, 4 * 66 - 2), "originals and three looks"
    assert read_csv(project / "metrics/training/both.csv")[-1]["step"] == "6"
    assert not list(project.glob(".dvc/tmp/resume/*")), "nothing is left in the scratch"

    result = invert()
    assert result.exit_code == 0, result.output
    group = read_group(project / "data/reconstructions/decoders")
    assert [row["method"] for row in group.index] == [name for name in DECODERS for _ in range(4)]
    assert [row["id"] for row in group.index[:4]] == ["test0", "test1", "test2", "test3"]
    assert {(row["family"], row["task"], row["oracle"], row["objective"]) for row in group.index} == {
        ("decoder", "feature", "false", "")
    }
    assert {row["tap"] for row in group.index} == {"conv5", "conv5+conv2", "conv2", "pool"}
    assert [row["method"] for row in group.timing] == list(DECODERS)
    assert read_csv(group.folder / "trace.csv") == []
    assert_decoded(project, group.images[4:8])


def test_a_decoder_can_learn_from_the_cache(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, where = Dataset.open(project / "data/images/toy"), "data/features/toy/alexnet_conv"
    through = ForwardPass(network=networks.random("alexnet_conv"), device=CPU, micro_batch=4)
    pictures = Pictures(dataset="toy", images=data.images, sample=[0, 1, 2], split="train")
    extract(through, pictures, project / where, budget_mb=1)
    untouched = {"features": where, "augment": {"flip": False, "crop": 0.0, "colour": 0.0}}
    monkeypatch.setitem(DECODERS, "cached", DECODERS["deep"] | untouched)
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["train_decoder"]["decoders"] = DECODERS
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.setattr("relume.methods.decoder.train.load", lambda *_: pytest.fail("a network looked at pictures"))
    result = train("cached")
    assert result.exit_code == 0, result.output
    assert read_json(project / "models/decoder/cached/model.json")["config"]["features"] == where


def assert_decoded(project: Path, pictures: np.ndarray) -> None:
    """The second method's pictures are what its decoder makes of the features."""
    data, decoder = Dataset.open(project / "data/images/toy"), read_decoder(project / "models/decoder/both", CPU)
    net = networks.random("alexnet_conv")
    with torch.no_grad(), collect(net, decoder.taps) as tapped:
        wanted = to_uint8(decoder.module(tapped(data.pixels(data.select("test")))))
    assert np.abs(pictures.astype(int) - wanted.astype(int)).max() <= 1


def test_equal_inputs_give_equal_bytes(project: Path) -> None:
    outs = [Path("one"), Path("two")]
    for out in outs:
        assert train("both", out).exit_code == 0
    for file in FILES:
        assert (outs[0] / "both" / file).read_bytes() == (outs[1] / "both" / file).read_bytes(), file


def test_a_killed_stage_goes_on_to_the_same_bytes(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert train("both", Path("whole")).exit_code == 0
    monkeypatch.setattr("relume.core.checkpoint.Checkpoint.due", lambda self: True)
    advance, steps = Course.advance, []

    def killed(self: Course) -> None:
        steps.append(self.step)
        if len(steps) == 5:
            raise KeyboardInterrupt
        advance(self)

    monkeypatch.setattr(Course, "advance", killed)
    assert train("both", Path("late")).exit_code != 0
    assert not Path("late/both").exists()
    assert train("both", Path("late")).exit_code == 0
    assert steps == [0, 1, 2, 3, 4, 4, 5]
    for file in FILES:
        assert (project / "whole/both" / file).read_bytes() == (project / "late/both" / file).read_bytes(), file


def test_a_batch_that_cannot_be_shared_stops_it_before_the_work(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_decoder, "ranks", together(3))
    monkeypatch.setattr(train_decoder, "lesson", lambda **_: pytest.fail("work has begun"))
    result = train("deep")
    assert result.exit_code == 1
    assert "train_decoder.decoders.deep.training.batch: 2 cannot be shared evenly by 3 processes" in result.output


def test_two_processes_leave_one_their_checkpoint_and_say_so(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One process begins anew: sums in another order are other bits."""
    monkeypatch.setattr("relume.core.checkpoint.Checkpoint.due", lambda self: True)
    monkeypatch.setattr(Ranks, "average", lambda self, tensors: None)
    monkeypatch.setattr(train_decoder, "ranks", together(2))
    advance, steps = Course.advance, []

    def killed(self: Course) -> None:
        steps.append(self.step)
        if len(steps) == 3:
            raise KeyboardInterrupt
        advance(self)

    monkeypatch.setattr(Course, "advance", killed)
    assert train("deep").exit_code != 0
    monkeypatch.setattr(train_decoder, "ranks", together(1))
    assert train("deep", Path("alone")).exit_code == 0
    monkeypatch.setattr(train_decoder, "ranks", together(2))
    assert train("deep").exit_code == 0
    assert steps == [0, 1, 2, *range(6), *range(2, 6)]
    devices = [read_json(folder / "deep/model.json")["device"] for folder in (Path("alone"), Path("models/decoder"))]
    assert devices == [describe(CPU), f"{describe(CPU)}, 2 processes"]


def test_a_fault_leaves_no_folder_and_names_itself(project: Path) -> None:
    result = train("nobody")
    assert result.exit_code == 1
    assert "train_decoder.decoders.nobody: missing" in result.output
    result = invert()
    assert result.exit_code == 1
    assert "models/decoder/deep/model.json is missing" in result.output
    assert not os.path.exists("data/reconstructions")


def test_pictures_and_features_must_be_those_of_the_training(project: Path) -> None:
    assert train("deep").exit_code == 0
    decoder = read_decoder(project / "models/decoder/deep", CPU)
    data, nets = Dataset.open(project / "data/images/toy"), {"alexnet_conv": networks.random("alexnet_conv")}
    config = InvertDecoder(dataset="toy", split="test", count=2, decoders=("deep",))

    def rows(one: TrainedDecoder, config: InvertDecoder) -> list[Row]:
        return decode([one], data, config, networks=nets, device=CPU, micro_batch=8)[1]

    assert [row.id for row in rows(decoder, config)] == ["test0", "test1"]
    for attribute, value, message in (("size", 32, "pictures of 32 px"), ("shapes", {"conv5": (256, 2, 2)}, "was trained on")):
        other = type(decoder)(**{**vars(decoder), attribute: value})
        with pytest.raises(UserError, match=message):
            rows(other, config)
    with pytest.raises(UserError, match="features of photos are wanted, but --images holds toy"):
        rows(decoder, replace(config, dataset="photos"))
