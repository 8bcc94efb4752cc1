"""Presets: the published parameters, and all stages on toy data in the original formats."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from relume.core.config import build
from relume.core.files import read_csv, read_json, sha256
from relume.data.store import Dataset
from relume.methods.latent.config import InvertLatent, inherited, method
from relume.methods.masked.config import MaskedConfig
from relume.methods.masked.model import build as build_masked
from relume.methods.optimise.config import InversionConfig
from relume.networks import network as networks
from relume.networks import sources
from tests import data_files as files
from tests.decoder_files import entries
from tests.preset_files import run_all, toy_project, whole

TRAIN = {"paper_s2": (9_000, 30), "paper_s3": (48_000, 32), "paper_s4": (49_000, 1000), "paper_s4_cifar100": (49_000, 1000)}
TRAIN |= {"masked_64": (99_000, 100), "energy_imagenet": (1_277_327, 100)}  # training pictures, published epochs


def models(name: str) -> dict[str, Any]:
    section = "train_decoder" if name in ("paper_s2", "paper_s3") else "train_masked"
    return entries(section, whole(name)[section])


def parameters(found: MaskedConfig, pixels: int) -> int:
    return sum(weights.numel() for weights in build_masked(found.architecture, pixels, found.masks.cell).parameters())


def test_masked_64_models_are_comparable() -> None:
    energy, other = models("masked_64").values()
    assert (energy.masks, energy.training, energy.augment) == (other.masks, other.training, other.augment)
    assert [parameters(one, 64) for one in (energy, other)] == [772_033, 718_080]


@pytest.mark.parametrize("name", TRAIN)
def test_epochs(name: str) -> None:
    """The last batch of an epoch need not be full."""
    pictures, epochs = TRAIN[name]
    for found in models(name).values():
        assert found.training.steps == epochs * -(-pictures // found.training.batch)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with toy_project(tmp_path, monkeypatch) as store:
        yield store


FEW = {"steps": 2, "batch": 2, "log_every": 1, "validate_every": 2}


def few(params: dict[str, Any]) -> dict[str, Any]:
    """A preset's parameters with few pictures: the same stages, networks, taps and methods."""
    params["run"].update(device="cpu", micro_batch=4)
    params["extract"].update(pictures=2)
    params["maps"].update(count=2)
    params["compare"].update(resamples=1000)
    return params


SIZE = 64  # pixels of the toy run's pictures


@pytest.fixture
def params() -> dict[str, Any]:
    return whole("paper_s0")


def methods(params: dict[str, Any]) -> dict[str, InversionConfig]:
    stated = {name: build(InvertLatent, group, name) for name, group in params["invert_latent"].items()}
    groups = {name: inherited(group, params["invert_optimise"]) for name, group in stated.items()}
    return {name: method(group, name, path) for path, group in groups.items() for name in group.methods}


@pytest.fixture
def shrunk(params: dict[str, Any]) -> dict[str, Any]:
    """Without recipes of other networks and some noise levels; all generators, mappers and methods."""
    params["recipes"] = {"s0": params["recipes"]["s0"] | {"steps": 2, "sizes": [[0, 32], [1, SIZE]]}}
    params["train_surrogate"]["models"] = {}
    params["weights"]["networks"] = ["alexnet_conv", "vgg16_conv", "lpips_alex", "lpips_vgg", "resnet50", "efficientnet_lite0"]
    for data, size in zip(params["prepare"]["datasets"].values(), (SIZE, 32), strict=True):
        data.update(pixels=size, short_side=72, verify=False, test=3, val=2, train=None)
    params["floors"].update(blocks=[4])
    params["invert_optimise"].update(steps=2, restarts=2, trace_every=2, sizes=[[0, 32], [1, SIZE]])
    params["train_gan"]["shared"]["training"].update(FEW)
    params["train_gan"]["shared"].update(samples=2, withheld=2, drawn={"count": 3, "walks": 1, "steps": 2, "truncation": 1.0})
    params["train_gan"]["shared"]["architecture"].update(latent=32, width=2)
    params["score_samples"].update(count=3, withheld=2)
    params["train_mapper"]["shared"]["training"].update(FEW)
    for noise in (1, 2, 3, 4):
        del params["invert_latent"]["gan_2048"]["methods"][f"s0_noise_{noise}"]
    for group in params["invert_latent"].values():
        for own in group["methods"].values():
            if own.get("switches"):
                own["switches"][0][0] = own["optimiser"]["learning_rate"][1][0] = 1
    methods = [*params["recipes"], *(name for group in params["invert_latent"].values() for name in group["methods"])]
    questions = params["compare"]["questions"]
    asked = {name: one for name, one in questions.items() if one["a"] in methods}
    params["compare"].update(groups=["floors", "s0", "gan_128", "gan_2048"], questions=asked)
    return few(params)


@pytest.mark.slow
def test_run_paper_s0(project: Path, monkeypatch: pytest.MonkeyPatch, shrunk: dict[str, Any]) -> None:
    files.tar(project / "ILSVRC2012_img_val.tar", files.imagenet_files())
    files.devkit(project, [1, 2, 3, 1, 2, 3, 1, 2, 3, 1])
    weights(project, "resnet50", monkeypatch)
    run_all(shrunk)
    board = {row["method"]: row for row in read_csv(Path("metrics/leaderboard.csv"))}
    ways = methods(shrunk)
    hybrid = {name for name, way in ways.items() if way.parametrisation.kind == "pixels" or way.switches}
    assert {name: board[name]["family"] for name in ways} == {name: "hybrid" if name in hybrid else "latent" for name in ways}
    assert {row["task"] for row in board.values()} == {"feature"}
    assert board["s0_mapper"]["tap"] == "pool"
    assert {row["question"] for row in read_csv(Path("metrics/comparisons.csv"))} >= set(shrunk["compare"]["questions"])
    assert {row["name"] for row in read_csv(Path("metrics/sets.csv"))} >= {"dcgan_128", "dcgan_2048"}
    assert read_json(Path("models/mapper/s0_mapper/model.json"))["shapes"] == {"pool": [2048]}


LAYERS = ("layer1", "layer2", "layer3", "layer4")


def weights(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random tensors in a torchvision file, with its hash in the name."""
    torch.save(networks.random(name).body.state_dict(), folder / "new.pth")
    prefix = sha256(folder / "new.pth")[:8]
    path = (folder / "new.pth").rename(folder / f"{name}-{prefix}.pth")
    monkeypatch.setitem(sources.FILES, name, (sources.File(name=path.name, reader="state", sha256=prefix),))


@pytest.mark.slow
def test_run_paper_s2(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three classes of which two are drawn; pictures of 64 pixels are enlarged."""
    files.tiny_imagenet(project)
    weights(project, "alexnet", monkeypatch)
    params = few(whole("paper_s2"))
    params["prepare"]["datasets"]["tiny_imagenet"].update(pixels=72, verify=False, classes=2, val=2)
    params["maps"].update(decoders=params["maps"]["decoders"][-1:], pictures=2, probes=1, groups=2, shown=1)
    params["train_decoder"]["shared"]["moments"] = 2
    params["train_decoder"]["shared"]["training"].update(FEW)
    for decoder in params["train_decoder"]["decoders"].values():
        if "architecture" in decoder:
            decoder["architecture"]["width"] = 8
    run_all(params)
    data = Dataset.open(Path("data/images/tiny_imagenet"))
    assert data.manifest["counts"] == {"all": 12, "test": 4, "val": 2, "train": 6}
    assert data.size == 72
    board = {row["method"]: row for row in read_csv(Path("metrics/leaderboard.csv"))}
    for name, own in params["train_decoder"]["decoders"].items():
        assert (board[name]["network"], board[name]["tap"]) == (own["network"], "+".join(own["taps"]))
        assert (board[name]["n"], board[name]["oracle"]) == (board["floor_own_mean"]["n"], "false")
    answers = {(row["question"], row["metric"]) for row in read_csv(Path("metrics/comparisons.csv"))}
    questions = params["compare"]["questions"].items()
    assert answers >= {(name, metric) for name, asked in questions for metric in asked["metrics"]}
    shapes = {name: read_json(Path(f"models/decoder/{name}/model.json"))["shapes"] for name in ("s2_conv2", "s2_fc8")}
    assert shapes == {"s2_conv2": {"conv2": [192, 8, 8]}, "s2_fc8": {"logits": [1000]}}


TOY = {"widths": [8, 16], "features": 8, "depth": 1}


@pytest.mark.slow
def test_diffusion_64_runs_on_the_owners_zip(project: Path) -> None:
    """All stages; without optimisation and decoders, whose presets are run elsewhere."""
    files.tiny_imagenet(project, classes=2, val=3)
    params = whole("diffusion_64")
    params["prepare"]["datasets"]["tiny_imagenet"].update(classes=2, test=6, val=2)
    few(params)
    params["floors"]["count"] = params["invert_optimise"]["count"] = None
    params["recipes"], params["train_decoder"]["decoders"], params["invert_decoder"] = {}, {}, {}
    shared, group = params["train_diffusion"]["shared"], params["invert_diffusion"]["denoised"]
    shared["architecture"].update(TOY)
    shared["training"].update(FEW)
    shared["moments"] = 2
    group.update(count=None, steps=2, draws=2)
    questions = {"answer_or_draw": {"a": "denoiser_conv5_direct", "b": "denoiser_conv5_sample", "metrics": ["psnr"]}}
    params["compare"].update(groups=["floors", "denoised"], questions=questions)
    run_all(params)
    board = {row["method"]: row["tap"] for row in read_csv(Path("metrics/leaderboard.csv"))}
    ways = ("direct", "sample", "mean")
    assert {f"denoiser_{tap}_{way}": tap for tap in ("conv3", "conv5") for way in ways}.items() <= board.items()
    assert [row["n"] for row in read_csv(Path("metrics/report/spread.csv"))] == ["6", "6"]
    assert "What the features leave open" in Path("metrics/report/index.html").read_text()
