"""paper_s0 with generators: the published parameters, and all stages on toy data in the original format."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from relume.core.config import build
from relume.core.files import read_csv, read_json, sha256
from relume.methods.latent.config import InvertLatent, Method, inherited, method
from relume.networks import network as networks
from relume.networks import sources
from tests import data_files as files
from tests.decoder_files import entries
from tests.preset_files import run_all, toy_project, whole

SIZE = 64  # pixels of the toy run's pictures


@pytest.fixture
def params(default_params: dict[str, Any]) -> dict[str, Any]:
    return whole("paper_s0", default_params)


def methods(params: dict[str, Any]) -> dict[str, Method]:
    stated = {name: build(InvertLatent, group, name) for name, group in params["invert_latent"].items()}
    groups = {name: inherited(group, params["invert_optimise"]) for name, group in stated.items()}
    return {name: method(group, name, path) for path, group in groups.items() for name in group.methods}


def test_generator_and_mapper_parameters(params: dict[str, Any]) -> None:
    found = entries("train_gan", params["train_gan"])
    assert [(one.architecture.kind, one.architecture.latent) for one in found.values()] == [("dcgan", 128), ("dcgan", 2048)]
    for one in found.values():
        training = one.training
        assert (training.learning_rate, training.betas, training.batch) == (2e-4, (0.5, 0.999), 256)
        assert (one.discriminator_rate, one.discriminator_betas) == (2e-4, (0.5, 0.999))
        assert training.steps == 100 * -(-(50_000 - 50 - 128) // 256), "epochs of the remaining images"
    (mapper,) = entries("train_mapper", params["train_mapper"]).values()
    assert (mapper.space, mapper.architecture.kind, mapper.architecture.width) == ("z", "published", 2048)
    assert mapper.losses.pixel == mapper.losses.feature == 0


def test_latent_and_hybrid_parameters(params: dict[str, Any]) -> None:
    found = methods(params)
    switched = {name: [step for step, _ in way.inversion.switches] for name, way in found.items()}
    starts = ("s0_draw", "s0_mapped")
    assert {name: steps for name, steps in switched.items() if steps} == {f"{a}_{n}": [n] for a in starts for n in (200, 600)}
    noise = {way.inversion.init.noising: way for name, way in found.items() if way.space.kind == "pixels"}
    assert list(noise) == [0, 1, 2, 3, 4, 5]
    for way in found.values():
        inversion, usual = way.inversion, params["invert_optimise"]
        assert (inversion.steps, inversion.restarts, inversion.network) == (3000, 8, "resnet50")
        assert inversion.optimiser.rule == usual["optimiser"]["rule"] == "sgd"
        assert inversion.optimiser.normalise_gradient
        assert inversion.losses.active == {"feature": 1.0}
        in_pixels = inversion.optimiser.learning_rate[-1][1] == 10.0
        assert in_pixels == (way.space.kind == "pixels" or bool(inversion.switches)), "the rate is 10 in pixels"


# --- run --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with toy_project(tmp_path, monkeypatch) as store:
        yield store


def shrunk(params: dict[str, Any]) -> dict[str, Any]:
    """Without recipes of other networks and some noise levels; all generators, mappers and methods."""
    params["recipes"] = {"s0": params["recipes"]["s0"] | {"steps": 2, "sizes": [[0, 32], [1, SIZE]]}}
    params["train_surrogate"]["models"] = {}
    params["weights"]["networks"] = ["alexnet_conv", "vgg16_conv", "lpips_alex", "lpips_vgg", "resnet50", "efficientnet_lite0"]
    for data, size in zip(params["prepare"]["datasets"].values(), (SIZE, 32), strict=True):
        data.update(pixels=size, short_side=72, verify=False, test=3, val=2, train=None)
    params["run"].update(device="cpu", micro_batch=4)
    params["extract"].update(pictures=2)
    params["floors"].update(blocks=[4])
    params["maps"].update(count=2)
    params["invert_optimise"].update(steps=2, restarts=2, trace_every=2, sizes=[[0, 32], [1, SIZE]])
    few = {"steps": 2, "batch": 2, "log_every": 1, "validate_every": 2}
    params["train_gan"]["shared"]["training"].update(few)
    params["train_gan"]["shared"].update(samples=2, withheld=2, drawn={"count": 3, "walks": 1, "steps": 2, "truncation": 1.0})
    params["train_gan"]["shared"]["architecture"].update(latent=32, width=2)
    params["score_samples"].update(count=3, withheld=2)
    params["train_mapper"]["shared"]["training"].update(few)
    for noise in (1, 2, 3, 4):
        del params["invert_latent"]["gan_2048"]["methods"][f"s0_noise_{noise}"]
    for group in params["invert_latent"].values():
        for own in group["methods"].values():
            if own.get("switches"):
                own["switches"][0][0] = own["optimiser"]["learning_rate"][1][0] = 1
    methods = [*params["recipes"], *(name for group in params["invert_latent"].values() for name in group["methods"])]
    questions = params["compare"]["questions"]
    asked = {name: one for name, one in questions.items() if one["a"] in methods}
    params["compare"].update(groups=["floors", "s0", "gan_128", "gan_2048"], questions=asked, resamples=1000)
    return params


@pytest.mark.slow
def test_run_paper_s0(project: Path, monkeypatch: pytest.MonkeyPatch, params: dict[str, Any]) -> None:
    files.tar(project / "ILSVRC2012_img_val.tar", files.imagenet_files())
    files.devkit(project, [1, 2, 3, 1, 2, 3, 1, 2, 3, 1])
    torch.save(networks.random("resnet50").body.state_dict(), project / "new.pth")
    prefix = sha256(project / "new.pth")[:8]
    path = (project / "new.pth").rename(project / f"resnet50-{prefix}.pth")
    monkeypatch.setitem(sources.FILES, "resnet50", (sources.File(name=path.name, reader="state", sha256=prefix),))
    run_all(shrunk(params))
    board = {row["method"]: row for row in read_csv(Path("metrics/leaderboard.csv"))}
    ways = methods(params)
    hybrid = {name for name, way in ways.items() if way.space.kind == "pixels" or way.inversion.switches}
    assert {name: board[name]["family"] for name in ways} == {name: "hybrid" if name in hybrid else "latent" for name in ways}
    assert {row["task"] for row in board.values()} == {"feature"}
    assert board["s0_mapper"]["tap"] == "pool"
    assert {row["question"] for row in read_csv(Path("metrics/comparisons.csv"))} >= set(params["compare"]["questions"])
    assert {row["name"] for row in read_csv(Path("metrics/sets.csv"))} >= {"dcgan_128", "dcgan_2048"}
    assert read_json(Path("models/mapper/s0_mapper/model.json"))["shapes"] == {"pool": [2048]}
