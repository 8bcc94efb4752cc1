"""The whole of params.yaml is checked before any work: every fault by its full key, with what is allowed."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from relume.core.errors import UserError
from relume.params import check

ROOT = Path(__file__).resolve().parents[1]


def change(params: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    *parents, last = key.split(".")
    here = params
    for parent in parents:
        here = here[parent]
    here[last] = value
    return params


def test_the_committed_parameters_are_sound(default_params: dict[str, Any]) -> None:
    check(default_params)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("lossess", {}, ["lossess: unknown section", "did you mean 'losses'"]),
        ("losses.tvv", 1.0, ["losses.tvv: unknown key", "did you mean 'tv'"]),
        ("losses.tv", "1e-3", ["losses.tv", "write 1.0e-3"]),
        ("losses.tv", -1.0, ["losses.tv", "greater than or equal to 0"]),
        ("run.device", "gpu", ["run.device", "'auto', 'cpu', 'cuda' or 'mps'"]),
        ("run.micro_batch", 2.5, ["run.micro_batch", "valid integer"]),
        ("floors.dataset", "foto", ["floors.dataset: 'foto' is not prepared", "allowed: photos", "for the same pictures"]),
        ("floors.split", "tset", ["floors.split", "did you mean 'test'"]),
        ("prepare.datasets.photos.sise", 64, ["prepare.datasets.photos.sise", "did you mean 'size'"]),
        ("prepare.datasets.photos.source", "fotos", ["prepare.datasets.photos", "fotos", "cifar10"]),
        ("weights.networks", ["alexnett"], ["weights.networks", "alexnett"]),
        ("recipes.deep.taps", {"conv9": 1.0}, ["recipes.deep.taps", "conv9", "conv5"]),
        ("recipes.deep.network", "vgg99", ["recipes.deep", "vgg99"]),
        ("recipes.deep.losses", {"tvs": 1.0}, ["recipes.deep.losses: tvs is no term"]),
        ("recipes.deep.losses", {"feature": 0.0, "tv": 0.0}, ["recipes.deep.losses: every weight is 0"]),
        ("recipes.deep.start", "data/reconstructions/none", ["recipes.deep.start", "data/reconstructions/shallow"]),
        (
            "recipes.deep.optimiser",
            {"learning_rate": [[3, 0.1]]},
            ["recipes.deep.optimiser.learning_rate", "from step 0"],
        ),
        ("recipes.deep.parametrisation", {"kind": "wavelet"}, ["recipes.deep.parametrisation", "fourier"]),
        (
            "compare.groups",
            ["floors", "shalow"],
            ["compare.groups: shalow is written by no stage", "did you mean 'shallow'", "shallow is missing"],
        ),
        ("compare.questions.depth.a", "shalow", ["compare.questions.depth.a: shalow is no method", "'shallow'"]),
        ("invert_optimise.taps", {"conv33": 1.0}, ["invert_optimise.taps", "conv33", "did you mean 'conv3'"]),
        ("invert_optimise.network", "alexx", ["invert_optimise.network: alexx", "alexnet_conv"]),
        ("invert_optimise.terms.lpips.network", "squeeze", ["invert_optimise.terms.lpips.network", "'alex' or 'vgg'"]),
        ("extract.datasets", [], ["invert_optimise.dataset: photos is not in extract.datasets"]),
        ("prepare.datasets.photos.test", 0, ["floors.split: prepare.datasets.photos has no pictures in test"]),
        ("recipes.deep", {"start": "data/images/photos"}, ["recipes.deep.network: missing"]),
        ("recipes.floors", {"start": "data/images/photos", "network": "alexnet_conv"}, ["recipes.floors: the name belongs"]),
        ("evaluate.metrics", ["psnrr"], ["evaluate.metrics", "psnrr", "psnr"]),
    ],
)
def test_a_fault_is_named(default_params: dict[str, Any], key: str, value: Any, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        check(change(default_params, key, value))
    for word in words:
        assert word in str(caught.value)


def test_all_faults_are_told_at_once(default_params: dict[str, Any]) -> None:
    default_params["losses"]["tv"] = "much"
    default_params["run"]["seed"] = -1
    del default_params["report"]
    with pytest.raises(UserError) as caught:
        check(default_params)
    assert [word in str(caught.value) for word in ("losses.tv", "run.seed", "report: missing section")] == [True] * 3


def test_names_in_the_schema_are_stages_or_shared_sections() -> None:
    stages = set(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
    from relume.params import RECIPES, SECTIONS

    assert {*SECTIONS, RECIPES} - {"run", "losses", "recipes"} == stages
