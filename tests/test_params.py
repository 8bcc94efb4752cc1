"""The whole of params.yaml is checked before any work: every fault by its full key, with what is allowed."""

import copy
import functools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from relume.core.errors import UserError
from relume.losses.perceptual import LPIPS_TAPS
from relume.methods.optimise.checks import ALWAYS, RECIPES
from relume.params import LPIPS, SECTIONS, check, main

ROOT = Path(__file__).resolve().parents[1]
OWN = dict.fromkeys(("start", "reference", "surrogate", "weights"), "data/none")


def change(params: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """`recipes.*` are all of them."""
    if key.startswith("recipes.*."):
        for name in params["recipes"]:
            change(params, key.replace("*", name), value)
        return params
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
        ("losses.tv", "much", ["losses.tv", "valid number"]),
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
        ("recipes.deep.losses", {"tvs": 1.0}, ["recipes.deep.losses.tvs: unknown key"]),
        ("recipes.deep.losses", {"feature": 0.0, "tv": 0.0, "guide": 0.0}, ["recipes.deep.losses: every weight is 0"]),
        ("recipes.deep.start", "data/reconstructions/none", ["recipes.deep.start", "data/reconstructions/shallow"]),
        ("recipes.deep.start", "data/reconstructions/deep", ["recipes.deep.start: data/reconstructions/deep is neither"]),
        ("recipes.deep.reference", "data/reconstructions/shalow", ["recipes.deep.reference", "did you mean", "shallow"]),
        ("recipes.deep.reference", "data/reconstructions/deep", ["recipes.deep.reference: data/reconstructions/deep is neither"]),
        ("recipes.deep.weights", "models/weights/resnet50", ["recipes.deep.weights: models/weights/resnet50 is neither"]),
        ("recipes.deep.weights", "models/weights/vgg16_conv", ["recipes.deep.weights: models/weights/vgg16_conv is neither"]),
        (
            "recipes.deep.switches",
            [[5, {"kind": "prior", "channels": 8, "levels": 2}]],
            ["recipes.deep.switches", "begin with it"],
        ),
        ("recipes.deep.sizes", [[0, 64], [9, 32]], ["recipes.deep.sizes: pictures only grow"]),
        (
            "losses.surrogate",
            1.0,
            [
                "recipes.deep.surrogate: the surrogate term asks a model: name one, models/surrogate/<name>",
                "recipes.shallow.surrogate",
            ],
        ),
        ("losses.ref", 1.0, ["recipes.deep.reference: the ref term looks at an earlier group's pictures: name one"]),
        ("losses.logits", 1.0, ["recipes.deep.network: alexnet_conv has no tap 'logits'"]),
        ("losses.clip", 1.0, ["weights.networks: clip_vit_l_14 is missing, which recipes.deep needs (clip)"]),
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
        ("invert_optimise.terms.lpips.network", "vggg", ["invert_optimise.terms.lpips.network", "'alex', 'vgg' or 'squeeze'"]),
        ("invert_optimise.terms.ssim.windows", [11, 8], ["invert_optimise.terms.ssim.windows: odd sizes are wanted"]),
        ("invert_optimise.terms.avg.networks", {"vgg16_conv": {}}, ["invert_optimise.terms.avg.networks: at least one network"]),
        ("invert_optimise.terms.ref.policy", "smart_relu", ["invert_optimise.terms.ref.policy", "'smart'"]),
        ("invert_optimise.terms.guide.reach", 2, ["invert_optimise.terms.guide.reach", "1, 3 or 5"]),
        ("invert_optimise.views.transforms", [{"kind": "blur"}], ["invert_optimise.views.transforms", "'blur'", "jitter"]),
        ("extract.datasets", [], ["invert_optimise.dataset: photos is not in extract.datasets"]),
        ("prepare.datasets.photos.test", 0, ["floors.split: prepare.datasets.photos has no pictures in test"]),
        ("recipes.deep", {"start": "data/images/photos"}, ["recipes.deep.network: missing"]),
        (
            "recipes.deep.network",
            "resnet50",
            ["recipes.deep.network: resnet50 is not in extract.networks", "resnet50 has no tap"],
        ),
        ("recipes.floors", {**OWN, "network": "alexnet_conv"}, ["recipes.floors: the name belongs"]),
        ("recipes.other", {"network": "alexnet_conv"}, [f"recipes.other.{key}: missing" for key in OWN]),
        ("evaluate.metrics", ["psnrr"], ["evaluate.metrics", "psnrr", "psnr"]),
    ],
)
def test_a_fault_is_named(default_params: dict[str, Any], key: str, value: Any, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        check(change(default_params, key, value))
    for word in words:
        assert word in str(caught.value)


RESNET = {"weights.networks": ["alexnet_conv", "vgg16_conv", "efficientnet_lite0", "resnet50", "lpips_alex", "lpips_vgg"]}
FOREIGN = {"losses.avg": 1.0, "invert_optimise.terms.avg.networks": {"resnet50": {"pool": 1.0}}}
OTHER = "data/reconstructions/s0"
SQUEEZE = {"losses.lpips": 1.0, "invert_optimise.terms.lpips.network": "squeeze"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (FOREIGN, ["weights.networks: resnet50 is missing, which recipes.deep needs (avg)"]),
        ({**RESNET, **FOREIGN}, ["recipes.deep.weights: avg needs resnet50: say models/weights/resnet50, or models/weights for"]),
        (
            {**RESNET, **FOREIGN, "recipes.deep.weights": "models/weights/resnet50"},
            ["recipes.shallow.weights: avg needs resnet50"],
        ),
        (
            {"losses.avg": 1.0, "invert_optimise.terms.avg.networks": {"efficientnet_lite0": {"stage3": 1.0, "stage9": 1.0}}},
            ["recipes.deep.terms.avg.networks: efficientnet_lite0 has no tap 'stage9'"],
        ),
        (
            {
                "losses.ref": 1.0,
                "invert_optimise.terms.ref.policy": "smart",
                "invert_optimise.terms.ref.networks": {"efficientnet_lite0": {"stage3": 1.0}},
            },
            ["recipes.shallow.terms.ref.networks: efficientnet_lite0 has no tap 'stage3_pre'"],
        ),
        ({"losses.clip": 1.0, "invert_optimise.terms.clip.network": "vgg99"}, ["recipes.deep.terms.clip", "'vgg99'"]),
        ({"losses.clip": 1.0, "invert_optimise.terms.clip.network": "identity"}, ["identity has no tap 'pool'"]),
        (SQUEEZE, [f"weights.networks: {name} is missing, which recipes.deep" for name in ("squeezenet1_1", "lpips_squeeze")]),
        (
            {
                "recipes.deep.parametrisation": {"kind": "prior", "channels": 8, "levels": 2},
                "recipes.deep.sizes": [[0, 32], [9, 64]],
            },
            ["recipes.deep.sizes: a deep image prior does not grow"],
        ),
        (
            {"invert_optimise.optimiser.rule": "lbfgs", "invert_optimise.optimiser.normalise_gradient": True},
            ["invert_optimise.optimiser.normalise_gradient: lbfgs does not go with it"],
        ),
        (
            {"recipes.deep.start": "data/reconstructions/shallow"},
            ["recipes.deep.start: shallow is made from alexnet_conv conv2, of which alexnet_conv conv5 says nothing"],
        ),
        (
            {"recipes.deep.start": "data/reconstructions/decoders", "recipes.deep.taps": {"conv4": 1.0}},
            ["recipes.deep.start: of the decoders in decoders 0 are of alexnet_conv conv4: name a group that has one"],
        ),
    ],
)
def test_faults_between_several_keys_are_named(default_params: dict[str, Any], changes: dict[str, Any], words: list[str]) -> None:
    for key, value in changes.items():
        change(default_params, key, value)
    with pytest.raises(UserError) as caught:
        check(default_params)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {**RESNET, **FOREIGN, "recipes.*.weights": "models/weights", "recipes.shallow.weights": "models/weights/resnet50"},
        {**SQUEEZE, "invert_optimise.terms.lpips.network": "alex"},
        {"recipes.pooled.start": OTHER, "recipes.pooled.reference": OTHER},
        {"recipes.*.losses": {"ref": 0.0}, "recipes.pooled.losses": {}, "recipes.pooled.reference": OTHER, "losses.ref": 1.0},
        {
            "losses.clip": 1.0,
            "invert_optimise.terms.clip.network": "efficientnet_lite0",
            "recipes.*.weights": "models/weights/efficientnet_lite0",
        },
    ],
)
def test_what_agrees_is_let_through(default_params: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        change(default_params, key, value)
    check(default_params)


def test_whatever_dvc_reads_of_a_thing_must_be_there(default_params: dict[str, Any]) -> None:
    for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values():
        path = str(stage.get("foreach", "")).strip("${}")
        for key in set(re.findall(r"\$\{item\.([\w.]+)\}", str(stage.get("do")))):
            params = copy.deepcopy(default_params)
            *parents, last = key.split(".")
            name, thing = next(iter(functools.reduce(dict.__getitem__, path.split("."), params).items()))
            functools.reduce(dict.__getitem__, parents, thing).pop(last)
            with pytest.raises(UserError, match=rf"{path}\.{name}\.{key}: missing"):
                check(params)


def test_what_is_said_twice_without_torch_agrees() -> None:
    """Which network an LPIPS judge looks through, and which weights every recipe declares."""
    assert {judge: network for judge, (network, _) in LPIPS_TAPS.items()} == LPIPS
    declared = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["invert_optimise"]["do"]["deps"]
    found = {name.removeprefix("models/weights/") for name in declared if name.startswith("models/weights/")}
    assert {name for name in found if "$" not in name} == set(ALWAYS)


def test_the_file_can_be_checked_by_itself(
    tmp_path: Path, default_params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(default_params))
    main()
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(change(default_params, "losses.tv", "much")))
    with pytest.raises(SystemExit, match=r"params: losses\.tv"):
        main()


@pytest.mark.parametrize(
    ("kind", "name", "owner"),
    [
        ("surrogate", "et", "train_masked.models"),
        ("landscape", "mapper_conv5", "train_mapper.models"),
        ("landscape", "alexnet_conv1", "train_decoder.decoders"),
        ("landscape", "surrogate_conv5", "train_surrogate.models"),
        ("mapper", "style", "train_gan.models"),
    ],
)
def test_models_of_different_kinds_share_no_name(default_params: dict[str, Any], kind: str, name: str, owner: str) -> None:
    """They share `metrics/training/`. Whichever comes second is told."""
    models = default_params[f"train_{kind}"]["models"]
    models[name] = next(iter(models.values()))
    with pytest.raises(UserError, match=rf"{name}: the name belongs to a model of {owner}"):
        check(default_params)


def test_all_faults_are_told_at_once(default_params: dict[str, Any]) -> None:
    default_params["losses"]["tv"] = "much"
    default_params["run"]["seed"] = -1
    del default_params["report"]
    with pytest.raises(UserError) as caught:
        check(default_params)
    assert [word in str(caught.value) for word in ("losses.tv", "run.seed", "report: missing section")] == [True] * 3


def test_names_in_the_schema_are_stages_or_shared_sections() -> None:
    stages = set(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
    assert {*SECTIONS, RECIPES} - {"run", "losses", "recipes"} == stages
