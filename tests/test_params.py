"""The check of the whole params.yaml: every fault names its key."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from relume.core.errors import UserError
from relume.core.references import GROUPS, METHODS, Entry, Folder, Lpips, Sees
from relume.losses.config import LPIPS
from relume.losses.perceptual import LPIPS_TAPS
from relume.methods.decoder.shipped import LIST
from relume.methods.family import DECLARED, Part
from relume.methods.references import marked
from relume.params import SECTIONS, check, main

ROOT = Path(__file__).resolve().parents[1]
OWN = dict.fromkeys(("start", "reference", "surrogate", "weights"), "data/none")
PRIOR = {"kind": "prior", "channels": 8, "levels": 2}
RESNET = {"weights.networks": ["alexnet_conv", "vgg16_conv", "efficientnet_lite0", "resnet50", "lpips_alex", "lpips_vgg"]}
TERMS = "invert_optimise.terms"
FOREIGN = {"losses.avg": 1.0, f"{TERMS}.avg.networks": {"resnet50": {"pool": 1.0}}}
SHALLOW, DECODED, SHIPPED, OTHER = (f"data/reconstructions/{name}" for name in ("shallow", "decoders", "pretrained", "s0"))
DELETED = object()


def change(params: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """`recipes.*`: every recipe."""
    if key.startswith("recipes.*."):
        for name in params["recipes"]:
            change(params, key.replace("*", name), value)
        return params
    *parents, last = key.split(".")
    here = params
    for parent in parents:
        here = here.setdefault(parent, {})
    if value is DELETED:
        del here[last]
    elif isinstance(here, list):
        here[int(last)] = value
    else:
        here[last] = copy.deepcopy(value)
    return params


def faults(params: dict[str, Any]) -> list[str]:
    try:
        check(params)
    except UserError as error:
        return str(error).splitlines()
    return []


def told(params: dict[str, Any], changes: dict[str, Any], key: str, kind: str) -> None:
    """The changes make a fault at `key` whose text matches `kind`."""
    for name, value in changes.items():
        change(params, name, value)
    found = faults(params)
    assert any(line.startswith(f"params: {key}: ") and re.search(kind, line) for line in found), "\n".join(found) or "no fault"


ONE_SECTION: list[tuple[str, Any, str, str]] = [
    ("lossess", {}, "lossess", "unknown section; did you mean 'losses'"),
    ("prepare.datasets.photos.source", "fotos", "prepare.datasets.photos.source", "unknown 'fotos'.*cifar10"),
    ("weights.networks", ["alexnett"], "weights.networks", "unknown network 'alexnett'"),
    ("evaluate.metrics", ["psnrr"], "evaluate.metrics", "unknown metric 'psnrr'"),
    (f"{TERMS}.ssim.windows", [11, 8], f"{TERMS}.ssim.windows", "odd"),
    (f"{TERMS}.avg.networks", {"vgg16_conv": {}}, f"{TERMS}.avg.networks", "at least one"),
    ("invert_optimise.views.transforms", [{"kind": "blur"}], "invert_optimise.views.transforms.0.kind", "unknown 'blur'"),
    ("recipes.deep.optimiser", {"learning_rate": [[3, 0.1]]}, "recipes.deep.optimiser.learning_rate", "from step 0"),
    ("recipes.deep.switches", [[5, PRIOR]], "recipes.deep.switches", "prior"),
    ("recipes.deep.sizes", [[0, 64], [9, 32]], "recipes.deep.sizes", "must not decrease"),
    ("recipes.deep", {"start": "data/none"}, "recipes.deep.network", "missing"),
    ("recipes.other", {"network": "alexnet_conv"}, "recipes.other.start", "missing"),
    ("extract.networks", ["lpips_alex"], "extract.networks", ""),
    ("extract.cached", ["vgg16"], "extract.cached", ""),
    ("extract.pictures", 1, "extract.pictures", ""),
    ("evaluate.metrics", ["psnr_masked"], "evaluate.metrics", ""),
    ("evaluate.metrics", ["mse"], "evaluate.paths", ""),
    ("evaluate.paths", ["ssim"], "evaluate.paths", ""),
    ("floors.blocks", [4, 4], "floors.blocks", ""),
    ("self_test.jpeg", [5, 80], "self_test.jpeg", ""),
    ("self_test.blur", [1.0, 1.0], "self_test.blur", ""),
    ("self_test.exceptions", {"psnrr": ["blur"]}, "self_test.exceptions", "'psnr'"),
    ("self_test.exceptions", {"psnr": ["blurr"]}, "self_test.exceptions.psnr", "'blur'"),
    ("compare.groups", ["floors", "floors"], "compare.groups", ""),
    ("compare.questions.q", {"a": "x", "b": "y", "metrics": ["lpips"]}, "compare.questions.q.metrics", ""),
]
RECIPES: list[tuple[dict[str, Any], str, str]] = [
    ({"dataset": "fotos"}, "dataset", "not in prepare.datasets"),
    ({"floors.dataset": "photos_32"}, "floors.dataset", "not dataset, 'photos'"),
    ({"floors.count": 99}, "floors.count", "needs 99 images of test, photos has 16"),
    ({"prepare.datasets.photos.test": 0}, "floors.split", "no images in test"),
    ({"run.micro_batch": 1, "invert_optimise.restarts": 2}, "invert_optimise.restarts", "more than run.micro_batch, 1"),
    ({"invert_optimise.taps": {"conv33": 1.0}}, "invert_optimise.taps.conv33", "no tap 'conv33'; did you mean 'conv3'"),
    ({"recipes.deep.dataset": "photos_32"}, "recipes.deep.dataset", "not dataset, 'photos'"),
    ({"recipes.deep.parametrisation": {"kind": "own", "name": "nowhere:one"}}, "recipes.deep", "no module 'nowhere'"),
    ({"recipes.deep.losses": {"feature": 0.0, "tv": 0.0, "guide": 0.0}}, "recipes.deep.losses", "at least one weight"),
    ({"recipes.deep.start": "data/reconstructions/deep"}, "recipes.deep.start", "own group"),
    ({"dataset": 3}, "dataset", "a name of prepare.datasets"),
    ({"recipes.deep.start": SHALLOW}, "recipes.deep.start", "shallow uses alexnet_conv conv2"),
    ({"recipes.deep.start": DECODED, "recipes.deep.taps": {"conv4": 1.0}}, "recipes.deep.start", "uses alexnet_conv conv5"),
    ({"recipes.deep.start": SHIPPED, "recipes.deep.taps": {"conv4": 1.0}}, "recipes.deep.start", "0 decoders"),
    ({"invert_decoder.pretrained.count": 8}, "recipes.refined_deep.start", "needs 16 images of test, pretrained has 8"),
    ({"invert_optimise.split": "val"}, "recipes.refined_deep.start", "split test, not val"),
    ({"recipes.deep.weights": "models/weights/resnet50"}, "recipes.deep.weights", "unknown .*data/none"),
    ({"recipes.deep.parametrisation": PRIOR, "recipes.deep.sizes": [[0, 32], [9, 64]]}, "recipes.deep.sizes", "has one size"),
    ({"recipes.deep.sizes": [[0, 32]]}, "recipes.deep.sizes", "32 px, the images of photos have 128"),
    (
        {"recipes.deep.parametrisation": {"kind": "latent", "space": "w", "start": "mean", "noise": False}},
        "recipes.deep.parametrisation.kind",
        "invert_latent",
    ),
    (
        {"invert_optimise.optimiser.rule": "lbfgs", "invert_optimise.optimiser.normalise_gradient": True},
        "invert_optimise.optimiser.normalise_gradient",
        "lbfgs",
    ),
    ({"prepare.datasets.photos.train": 0, "prepare.datasets.photos.dead_leaves_train": 0}, "recipes.deep", "split train"),
    ({"losses.ssim": 1.0, f"{TERMS}.ssim.windows": [11], "prepare.datasets.photos.pixels": 16}, "recipes.deep.network", "31 px"),
    ({"losses.batchnorm": 1.0}, "recipes.deep.losses.batchnorm", "no batch normalisations"),
    ({"losses.ref": 1.0}, "recipes.deep.reference", "an earlier group"),
    ({"losses.logits": 1.0}, "recipes.deep.network", "alexnet_conv has no tap 'logits'"),
    ({"losses.clip": 1.0}, f"{TERMS}.clip.network", "not in weights.networks"),
    ({"losses.clip": 1.0, f"{TERMS}.clip.network": "vgg99"}, f"{TERMS}.clip.network", "'vgg99' is not in"),
    ({"losses.clip": 1.0, f"{TERMS}.clip.network": "identity"}, f"{TERMS}.clip.network", "no tap 'pool'"),
    ({"losses.lpips": 1.0, f"{TERMS}.lpips.network": "squeeze"}, f"{TERMS}.lpips.network", "'lpips_squeeze' is not in"),
    (FOREIGN, f"{TERMS}.avg.networks.resnet50", "not in weights.networks"),
    ({**RESNET, **FOREIGN}, "recipes.deep.weights", "needs resnet50"),
    ({**RESNET, **FOREIGN, "recipes.deep.weights": "models/weights/resnet50"}, "recipes.shallow.weights", "needs resnet50"),
    (
        {"losses.ref": 1.0, f"{TERMS}.ref": {"networks": {"efficientnet_lite0": {"stage3": 1.0}}, "distance": "mse"}}
        | {f"{TERMS}.ref.aggregate": "mean", f"{TERMS}.ref.policy": "smart"},
        f"{TERMS}.ref.networks.efficientnet_lite0.stage3",
        "no tap 'stage3_pre'",
    ),
    ({"compare.groups": ["floors"]}, "compare.groups", "shallow is missing"),
    ({"recipes.floors": {**OWN, "network": "alexnet_conv"}}, "recipes.floors", "the name 'floors' belongs to"),
    ({"evaluate.sets.tap": "stage4"}, "evaluate.sets.tap", "positions"),
    ({"evaluate.classifier": "alexnet_conv"}, "evaluate.classifier", "no tap 'logits'"),
    ({"evaluate.metrics": ["lpips_squeeze"], "evaluate.paths": []}, "evaluate.metrics.0", "'squeezenet1_1' is not in"),
    ({"weights.networks": ["vgg16_conv"]}, "recipes", "'lpips_alex' is not in weights.networks"),
]


@pytest.mark.parametrize(("key", "value", "where", "kind"), ONE_SECTION)
def test_faults_of_one_section(default_params: dict[str, Any], key: str, value: Any, where: str, kind: str) -> None:
    told(default_params, {key: value}, where, kind)


@pytest.mark.parametrize(("changes", "where", "kind"), RECIPES)
def test_faults_between_sections(default_params: dict[str, Any], changes: dict[str, Any], where: str, kind: str) -> None:
    told(default_params, changes, where, kind)


@pytest.mark.parametrize(
    "changes",
    [
        {**RESNET, **FOREIGN, "recipes.*.weights": "models/weights", "recipes.shallow.weights": "models/weights/resnet50"},
        {"losses.lpips": 1.0, f"{TERMS}.lpips.network": "alex"},
        {"recipes.pooled.start": OTHER, "recipes.pooled.reference": OTHER},
        {"recipes.*.losses": {"ref": 0.0}, "recipes.pooled.losses": {}, "recipes.pooled.reference": OTHER, "losses.ref": 1.0},
        {"losses.clip": 1.0, f"{TERMS}.clip.network": "efficientnet_lite0", "recipes.*.weights": "models/weights"},
    ],
)
def test_valid_changes_pass(default_params: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        change(default_params, key, value)
    check(default_params)


def test_faults_of_shared_values_are_reported_once(default_params: dict[str, Any]) -> None:
    change(default_params, "invert_optimise.terms.clip.network", "resnet18")
    change(default_params, "losses.clip", 1.0)
    assert [line for line in faults(default_params) if "terms" in line] == [
        line for line in faults(default_params) if line.startswith("params: invert_optimise.terms.clip.network: ")
    ]
    assert sum("'resnet18'" in line for line in faults(default_params)) == 1


def test_all_faults_are_reported_together(default_params: dict[str, Any]) -> None:
    default_params["losses"]["tv"] = "much"
    default_params["run"]["seed"] = -1
    del default_params["report"]
    keys = {line.split(": ")[1] for line in faults(default_params)}
    assert keys == {"losses.tv", "run.seed", "report"}


def test_lists_of_references_exist(default_params: dict[str, Any]) -> None:
    check(default_params)
    paths = {section.path for section in SECTIONS.values()} | {GROUPS, METHODS, "losses", "prepare.datasets"}
    known = paths | {"weights.networks", "extract.networks", LIST}
    parts = [part for section in SECTIONS.values() for part in _parts(section, default_params)]
    marks = [found.mark for part in parts for found in marked(part)]
    assert {name for mark in marks if isinstance(mark, Entry | Folder) for name in mark.lists} <= known


def test_missing_targets_of_references(default_params: dict[str, Any]) -> None:
    default_params["extract"].update(cached=None, held_out=[])
    default_params["train_diffusion"]["models"] = {"toy": {"network": "alexnet_conv", "taps": ["conv3"]}}  # the default has none
    wrong: dict[tuple[str, ...], tuple[str, Any]] = {}
    for section in SECTIONS.values():
        for part in _parts(section, default_params):
            for found in (one for one in marked(part) if isinstance(one.value, str | int) and one.value != one.path[-1]):
                fields = [name for name in found.path if isinstance(name, str)][-2:]
                value: Any = {"network": "resnet50", "networks": "resnet50"}.get(fields[-1], "nowhere")
                value = f"{found.mark.root}/nowhere" if isinstance(found.mark, Folder) else value
                if not isinstance(found.mark, Lpips | Sees) and "clip" not in found.path:  # which has no weight
                    wrong[section.key, *fields] = part.key(found.path), 10**6 if isinstance(found.value, int) else value
    changed = {key: faults(change(copy.deepcopy(default_params), key, value)) for key, value in wrong.values()}
    assert [
        (key, lines) for key, lines in changed.items() if not any(line.startswith(f"params: {key}: ") for line in lines)
    ] == []


def _parts(section: Any, params: dict[str, Any]) -> list[Part]:
    from relume.core.config import build

    built = build(section.cls, params[section.key], section.key)
    below = [part for name in section.entries(built) for part in section.built(params, {section.key: built}, name)[1]]
    return [Part(value=built, layers=((section.key, params[section.key]),)), *below]


def test_tables_repeated_without_torch_agree() -> None:
    """The networks of LPIPS, and the weights declared in dvc.yaml."""
    assert {extractor: network for extractor, (network, _) in LPIPS_TAPS.items()} == LPIPS
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    stage_of = {"recipes": "invert_optimise"}
    for key in (key for key, section in SECTIONS.items() if section.weights):
        deps = stages[stage_of.get(key, key)]["do"]["deps"]
        found = {dep.removeprefix("models/weights/") for dep in deps if dep.startswith("models/weights/") and "$" not in dep}
        assert found == set(DECLARED), key


def test_command_line(tmp_path: Path, default_params: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(default_params))
    main()
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(change(default_params, "losses.tv", "much")))
    with pytest.raises(SystemExit, match=r"params: losses\.tv"):
        main()


@pytest.mark.parametrize("name", ["size", "nfiles"])
@pytest.mark.parametrize("where", ["prepare.datasets.photos", "evaluate.sets", "recipes"])
def test_keys_that_the_run_cache_ignores(default_params: dict[str, Any], where: str, name: str) -> None:
    with pytest.raises(UserError, match=rf"(?m)^params: {where}\.{name}: .*run cache.*'pixels'"):
        check(change(default_params, f"{where}.{name}", 64))


def test_keys_that_the_run_cache_ignores_inside_lists(default_params: dict[str, Any]) -> None:
    default_params["report"] = [[{"size": 1}]]
    with pytest.raises(UserError, match=r"params: report\.0\.0\.size: .*run cache"):
        check(default_params)
