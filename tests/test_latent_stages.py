"""From a generator to a mapper to a group on toy files: rows of every kind, resume, faults."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result

from relume.core.config import build
from relume.core.errors import UserError
from relume.core.files import read_csv, read_json
from relume.core.images import resize, to_float, to_uint8
from relume.core.results import read_group
from relume.core.runtime import seed_of
from relume.data.store import Dataset
from relume.methods.gan.model import read_gan
from relume.methods.latent.model import read_mapper
from relume.methods.optimise.config import Init
from relume.methods.optimise.optimise import Descent
from relume.methods.optimise.problem import noised
from relume.networks import network as networks
from relume.networks.taps import collect
from stages import invert_latent, train_mapper
from tests import latent_files as files
from tests.decoder_files import CPU
from tests.stage_files import NONE, change, project, run, succeed

MODELS = {"weights": "models/weights", "generator": files.GENERATOR}
FILES = {"images.npy", "index.csv", "path.npy", "path.csv", "trace.csv", "timing.csv", "method.json"}


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, default_params: dict[str, Any]) -> Path:
    """With a generator and a mapper."""
    files.write_gan(tmp_path / files.GENERATOR)
    sections = {
        "train_mapper": files.mapper_section(),
        "invert_optimise": default_params["invert_optimise"],
        "invert_latent": {"latents": files.group()},
    }
    project(tmp_path, monkeypatch, sections)
    change("run.micro_batch", 2)
    succeed(train_mapper, **MODELS, model="toy_mapper", out=files.MAPPER, timing="mapper.csv")
    return tmp_path


def changed(**differences: Any) -> None:
    """Change the group's parameters."""
    for key, value in differences.items():
        change(f"invert_latent.latents.{key}", value)


def inverted(out: str = "out", mapper: str = files.MAPPER) -> Result:
    return run(invert_latent, **MODELS, group="latents", mapper=mapper, out=out)


def test_stage(toy: Path) -> None:
    card = read_json(toy / files.MAPPER / "model.json")
    assert (card["size"], card["latent"], card["shapes"]) == (files.SIZE, [5], {"conv3": [384, 3, 3]})
    result = inverted()
    assert result.exit_code == 0, result.output
    group = read_group(toy / "out")
    assert {path.name for path in group.folder.iterdir()} == FILES
    families = {"floor_mean_toy": "floor", "toy_mapper": "latent", "from_mean": "latent", "from_mapper": "latent"}
    assert dict.fromkeys(row["method"] for row in group.index) == dict.fromkeys([*families, "hybrid"])
    assert {row["method"]: row["family"] for row in group.index} == families | {"hybrid": "hybrid"}
    assert [row["id"] for row in group.index] == ["test0", "test1", "test2"] * 5
    assert {(row["task"], row["oracle"], row["selected"], row["size"]) for row in group.index} == {
        ("feature", "false", "true", str(files.SIZE))
    }
    assert {row["tap"] for row in group.index} == {"", "conv3"}
    moved = ["from_mean", "from_mapper", "hybrid"]
    assert list(dict.fromkeys(row["method"] for row in read_csv(toy / "out/trace.csv"))) == moved
    assert [row["method"] for row in read_csv(toy / "out/timing.csv") if row["step"] == "0"] == ["toy_mapper", *moved]
    assert not list(toy.glob(".dvc/tmp/resume/*")), "scratch files remain"
    assert_painted(toy, group.images)


def assert_painted(toy: Path, images: np.ndarray) -> None:
    """The baseline is the mean image; the mapper's images are generated from its latents."""
    made = read_gan(toy / files.GENERATOR, CPU).generator
    mean = to_uint8(resize(made.synthesise(made.running_mean[None]), files.SIZE))
    assert np.abs(images[:3].astype(int) - mean).max() <= 1
    data, mapper = Dataset.open(toy / "data/images/toy"), read_mapper(toy / files.MAPPER, CPU)
    with torch.no_grad(), collect(networks.random("alexnet_conv"), mapper.taps) as tapped:
        features = tapped(data.pixels(data.select("test", 3)))
    wanted = to_uint8(resize(made.synthesise(mapper.latents(features)), files.SIZE))
    assert np.abs(images[3:6].astype(int) - wanted).max() <= 1
    assert not (images[3:6] == mean).all()
    with pytest.raises(UserError, match=r"toy_mapper was trained on features \(384, 3, 3\); conv3 has \(384, 5, 5\)"):
        mapper.latents({"conv3": torch.zeros(1, 384, 5, 5)})


def test_start_values(toy: Path) -> None:
    """With a learning rate near 0 the image stays the mapper's, for every row of every shard."""
    still = {"optimiser": {"learning_rate": [[0, 1e-12]]}, "steps": 1}
    changed(methods={"still": {**still, "parametrisation": files.latent("w_plus", "given")}, "mean": still})
    assert inverted().exit_code == 0
    pictures = read_group(toy / "out").images.reshape(4, 3, files.SIZE, files.SIZE, 3).astype(int)
    assert np.abs(pictures[2] - pictures[1]).max() <= 1
    assert np.abs(pictures[3] - pictures[0]).max() <= 1


def test_pixels_start_at_the_noised_mapper_image(toy: Path) -> None:
    """G(mapper(features)) / (1 + f) + f / (1 + f) noise, for f of 0 and 3."""
    still = {"optimiser": {"learning_rate": [[0, 1e-12]]}, "steps": 1}
    still |= {"parametrisation": {"kind": "pixels", "box": "projection"}}
    inits = {name: {"base": "grey", "mean": 0.5, "std": 0.0, "noising": f} for name, f in (("bare", 0.0), ("noisy", 3.0))}
    changed(methods={name: {**still, "init": init} for name, init in inits.items()})
    result = inverted()
    assert result.exit_code == 0, result.output
    group = read_group(toy / "out")
    assert [row["family"] for row in group.index[-6:]] == ["hybrid"] * 6
    _, mapped, bare, noisy = group.images.reshape(4, 3, files.SIZE, files.SIZE, 3)
    assert np.abs(bare.astype(int) - mapped).max() <= 1
    seeds = [seed_of(0, "init", name, 0) for name in ("test0", "test1", "test2")]
    wanted = noised(to_float(mapped), build(Init, inits["noisy"], "init"), seeds)
    assert np.abs(noisy - to_uint8(wanted).astype(int)).max() <= 1


def test_resume_gives_equal_bytes(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    perturbed = {"parametrisation": files.latent("w", "given", noise=True, w_noise=0.1, noise_reg=1.0)}
    changed(methods={"shaken": perturbed, "hybrid": {"switches": [[3, {"kind": "fourier", "decay": 1.0}]]}})
    assert inverted("whole").exit_code == 0
    monkeypatch.setattr("relume.core.checkpoint.Checkpoint.due", lambda self: True)
    advance, steps = Descent.advance, []

    def killed(self: Descent, *given: Any) -> None:
        steps.append(self.step)
        if len(steps) in (5, 16):
            raise KeyboardInterrupt
        advance(self, *given)

    monkeypatch.setattr(Descent, "advance", killed)
    assert [inverted("late").exit_code != 0 for _ in range(3)] == [True, True, False]
    for file in FILES - {"timing.csv"}:
        assert (toy / "whole" / file).read_bytes() == (toy / "late" / file).read_bytes(), file
    terms = {row["term"] for row in read_csv(toy / "late/trace.csv") if row["method"] == "shaken"}
    assert {"noise_reg", "feature", "objective"} <= terms


def test_group_without_a_mapper(toy: Path) -> None:
    changed(mapper=NONE, methods={})
    assert inverted(mapper=NONE).exit_code == 0
    assert {row["method"] for row in read_group(toy / "out").index} == {"floor_mean_toy"}
