"""From a generator to a mapper to a group on toy files: rows of every kind, equal bytes, a kill, faults by name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner, Result

from relume.core.config import build
from relume.core.errors import UserError
from relume.core.files import read_csv, read_json
from relume.core.images import resize, to_float, to_uint8
from relume.core.results import read_group
from relume.core.runtime import seed_of
from relume.data.store import Dataset
from relume.methods.gan.trained import read_gan
from relume.methods.latent.config import InvertLatent, Method, inherited, mappers, method
from relume.methods.latent.trained import read_mapper
from relume.methods.optimise import initial
from relume.methods.optimise.config import Init
from relume.methods.optimise.optimise import Descent
from relume.networks import network as networks
from relume.networks.taps import collect
from stages import invert_latent, train_mapper
from tests import latent_files as files
from tests.decoder_files import CPU, Store, together

FILES = {"images.npy", "index.csv", "path.npy", "path.csv", "trace.csv", "timing.csv", "method.json"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, default_params: dict[str, Any]) -> Path:
    files.project(tmp_path)
    monkeypatch.chdir(tmp_path)
    params = {
        "run": {"seed": 0, "device": "cpu", "precision": "float32", "micro_batch": 2},
        "train_mapper": files.mapper_section(),
        "invert_optimise": default_params["invert_optimise"],
        "invert_latent": {"latents": files.group()},
    }
    write(params)
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": dict.fromkeys(("train_mapper", "invert_latent"), {"deps": []})}))
    for name in ("DVC_STAGE", "RELUME_SCRATCH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("relume.params.check", lambda whole: None)
    for place in (train_mapper, invert_latent):
        monkeypatch.setattr(place, "WeightStore", lambda *folders: Store())
    return tmp_path


def write(params: dict[str, Any]) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def changed(**differences: Any) -> None:
    """The group says otherwise."""
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["invert_latent"]["latents"] |= differences
    write(params)


def trained(name: str = "toy_mapper", out: str = files.MAPPER) -> Result:
    options = {"--model": name, "--images": "data/images/toy", "--weights": "models/weights", "--generator": files.GENERATOR}
    options |= {"--out": out, "--timing": f"metrics/training/{name}.csv"}
    return CliRunner().invoke(train_mapper.main, [part for pair in options.items() for part in pair])


def inverted(out: str = "out", mapper: str = files.MAPPER) -> Result:
    options = {"--group": "latents", "--images": "data/images/toy", "--weights": "models/weights"}
    options |= {"--generator": files.GENERATOR, "--mapper": mapper, "--out": out}
    return CliRunner().invoke(invert_latent.main, [part for pair in options.items() for part in pair])


def test_from_a_generator_to_a_group(project: Path) -> None:
    result = trained()
    assert result.exit_code == 0, result.output
    assert "toy_mapper: " in result.output
    assert "the mean latent" in result.output
    card = read_json(project / files.MAPPER / "model.json")
    assert (card["size"], card["latent"], card["shapes"]) == (files.SIZE, [5], {"conv3": [384, 3, 3]})
    result = inverted()
    assert result.exit_code == 0, result.output
    group = read_group(project / "out")
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
    assert list(dict.fromkeys(row["method"] for row in read_csv(project / "out/trace.csv"))) == moved
    assert [row["method"] for row in read_csv(project / "out/timing.csv") if row["step"] == "0"] == ["toy_mapper", *moved]
    assert not list(project.glob(".dvc/tmp/resume/*")), "nothing is left in the scratch"
    assert_painted(project, group.images)


def assert_painted(project: Path, images: np.ndarray) -> None:
    """The floor is the mean picture, and the mapper's pictures are of the latents that it names."""
    made = read_gan(project / files.GENERATOR, CPU).generator
    mean = to_uint8(resize(made.synthesise(made.running_mean[None]), files.SIZE))
    assert (images[:3] == mean).all()
    data, mapper = Dataset.open(project / "data/images/toy"), read_mapper(project / files.MAPPER, CPU)
    with torch.no_grad(), collect(networks.random("alexnet_conv"), mapper.taps) as tapped:
        features = tapped(data.pixels(data.select("test", 3)))
    wanted = to_uint8(resize(made.synthesise(mapper.latents(features)), files.SIZE))
    assert np.abs(images[3:6].astype(int) - wanted).max() <= 1, "batches of other sizes may round otherwise"
    assert not (images[3:6] == mean).all()
    with pytest.raises(UserError, match=r"toy_mapper was trained on features \(384, 3, 3\); conv3 has \(384, 5, 5\)"):
        mapper.latents({"conv3": torch.zeros(1, 384, 5, 5)})


def test_a_method_begins_where_it_says(project: Path) -> None:
    """No step, in effect: the picture is the mapper's, for every row of every shard."""
    assert trained().exit_code == 0
    still = {"optimiser": {"learning_rate": [[0, 1e-12]]}, "steps": 1}
    changed(methods={"still": {**still, "parametrisation": files.latent("w_plus", "given")}, "mean": still})
    assert inverted().exit_code == 0
    pictures = read_group(project / "out").images.reshape(4, 3, files.SIZE, files.SIZE, 3).astype(int)
    assert np.abs(pictures[2] - pictures[1]).max() <= 1
    assert np.abs(pictures[3] - pictures[0]).max() <= 1


def test_pixels_begin_at_the_mappers_picture_blended_with_noise(project: Path) -> None:
    """S0's G(mapper(features)) / (1 + f) + f / (1 + f) noise, for f of 0 and 3."""
    assert trained().exit_code == 0
    still = {"optimiser": {"learning_rate": [[0, 1e-12]]}, "steps": 1}
    still |= {"parametrisation": {"kind": "pixels", "box": "projection"}}
    inits = {name: {"base": "grey", "mean": 0.5, "std": 0.0, "noising": f} for name, f in (("bare", 0.0), ("noisy", 3.0))}
    changed(methods={name: {**still, "init": init} for name, init in inits.items()})
    result = inverted()
    assert result.exit_code == 0, result.output
    group = read_group(project / "out")
    assert [row["family"] for row in group.index[-6:]] == ["hybrid"] * 6
    _, mapped, bare, noisy = group.images.reshape(4, 3, files.SIZE, files.SIZE, 3)
    assert np.array_equal(bare, mapped)
    seeds = [seed_of(0, "init", name, 0) for name in ("test0", "test1", "test2")]
    wanted = initial.noised(to_float(mapped), build(Init, inits["noisy"], "init"), seeds)
    assert np.abs(noisy - to_uint8(wanted).astype(int)).max() <= 1


def test_equal_bytes_and_a_killed_stage_goes_on(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert trained().exit_code == 0
    shaken = {"parametrisation": files.latent("w", "given", noise=True, shake=0.1, near_mean=0.01, unlike_noise=1.0)}
    changed(methods={"shaken": shaken, "hybrid": {"switches": [[3, {"kind": "fourier", "decay": 1.0}]]}})
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
        assert (project / "whole" / file).read_bytes() == (project / "late" / file).read_bytes(), file
    terms = {row["term"] for row in read_csv(project / "late/trace.csv") if row["method"] == "shaken"}
    assert {"near_mean", "unlike_noise", "feature", "objective"} <= terms


def test_without_a_mapper(project: Path) -> None:
    changed(mapper="data/none")
    result = inverted(mapper="data/none")
    assert result.exit_code == 1
    assert "invert_latent.latents.methods.from_mapper.parametrisation: it begins where a mapper says, and" in result.output
    changed(methods={})
    assert inverted(mapper="data/none").exit_code == 0
    assert {row["method"] for row in read_group(project / "out").index} == {"floor_mean_toy"}


def test_a_mapper_of_another_network_is_named(project: Path) -> None:
    assert trained().exit_code == 0
    params = yaml.safe_load(Path("params.yaml").read_text())
    changed(base=params["invert_latent"]["latents"]["base"] | {"network": "vgg16_conv", "taps": {"conv1_1": 1.0}})
    result = inverted()
    assert result.exit_code == 1
    assert "toy_mapper maps alexnet_conv to models/gan/toy, not vgg16_conv to models/gan/toy" in result.output


def test_a_batch_that_cannot_be_shared_stops_it_before_the_work(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_mapper, "ranks", together(3))
    monkeypatch.setattr(train_mapper, "mapper_lesson", lambda **_: pytest.fail("work has begun"))
    result = trained()
    assert result.exit_code == 1
    assert "train_mapper.models.toy_mapper.training.batch: 2 cannot be shared evenly by 3 processes" in result.output


@pytest.mark.parametrize(
    ("differences", "message"),
    [
        ({"losses": {"tvv": 1.0}}, "losses.tvv: unknown key; did you mean 'tv'"),
        ({"mapper": "models/gan/toy"}, "invert_latent.toy.mapper"),
        ({"generator": "models/masked/toy"}, "invert_latent.toy.generator"),
        ({"methods": {"a": {"losses": {"tvv": 1.0}}}}, "methods.a.losses.tvv: unknown key"),
        ({"methods": {"a": {"losses": {"feature": 0.0, "tv": 0.0}}}}, "methods.a.losses: every weight is 0"),
        ({"methods": {"a": {"parametrisation": {"kind": "prior", "channels": 4, "levels": 1}}}}, "a.parametrisation.kind: prior"),
        ({"methods": {"a": {"stepz": 3}}}, "methods.a.stepz: unknown key"),
        ({"methods": {"a": {"parametrisation": {"unlike_noise": 1.0}}}}, "unlike_noise: noise maps that are not moved"),
    ],
)
def test_sections_are_checked(default_params: dict[str, Any], differences: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        read(files.group(**differences), default_params["invert_optimise"])
    assert message in str(caught.value)


def read(plain: dict[str, Any], section: dict[str, Any]) -> Method:
    return method(inherited(build(InvertLatent, plain, "invert_latent.toy"), section), "a", "invert_latent.toy")


def test_mappers_faults_are_all_named() -> None:
    section = files.mapper_section()
    assert mappers(section)["toy_mapper"].taps == ("conv3",)
    section["models"] = {"a": {**section["models"]["toy_mapper"], "taps": []}, "b": {}}
    with pytest.raises(UserError) as caught:
        mappers(section)
    assert "train_mapper.models.a.taps" in str(caught.value)
    assert "train_mapper.models.b.network: missing" in str(caught.value)
