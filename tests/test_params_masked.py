"""What masked sections must agree about, each fault by its key."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from relume.core.errors import UserError
from relume.params import check
from tests.toy_masked import ENERGY, STACK, TOKENS

IMAGES = "data/images/photos"


@pytest.fixture
def whole(default_params: dict[str, Any]) -> dict[str, Any]:
    """The committed parameters, but with three models and a group of two, of the large pictures."""
    params = copy.deepcopy(default_params)
    params["train_masked"]["shared"] |= {"dataset": "photos", "masks": {"pattern": "random", "ratio": 0.85, "cell": 16}}
    params["probe"]["models"] = []
    beit = {"architecture": {"kind": "beit", "encoder": STACK, "tokenizer": TOKENS}, "tokenizer": "models/masked/codes"}
    params["train_masked"]["models"] = {
        "codes": {"architecture": TOKENS, "tokenizer": IMAGES},
        "et": {"architecture": ENERGY, "tokenizer": IMAGES},
        "beit": beit,
    }
    group = {"dataset": "photos", "split": "test", "count": None, "pattern": "random", "ratios": [0.85], "cell": 16}
    params["reconstruct_masked"] = {"masked": {**group, "models": ["et", "beit"]}}
    params["compare"]["questions"] = {"masked": {"a": "et", "b": "beit", "metrics": ["psnr_masked", "lpips_alex"]}}
    return params


def test_what_agrees_is_let_through(whole: dict[str, Any]) -> None:
    check(whole)


def models(params: dict[str, Any]) -> Any:
    return params["train_masked"]["models"]


def group(params: dict[str, Any]) -> Any:
    return params["reconstruct_masked"]["masked"]


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "dataset": (lambda p: p["train_masked"]["shared"].update(dataset="nowhere"), "train_masked.shared.dataset: 'nowhere'"),
    "cell": (lambda p: models(p)["et"].update(masks={"cell": 10}), "models.et.masks.cell: pictures of 128 px"),
    "name": (lambda p: models(p).update(deep=models(p)["et"]), "models.deep: the name belongs to another method"),
    "no tokenizer": (lambda p: models(p)["et"].pop("tokenizer"), "models.et.tokenizer: data/images/photos is wanted"),
    "foreign": (lambda p: models(p)["beit"].update(tokenizer="models/masked/et"), "et is no trained tokenizer; allowed: codes"),
    "other codes": (lambda p: models(p)["codes"].update(architecture={**TOKENS, "width": 16}), "must be those of"),
    "not compared": (lambda p: p["compare"]["groups"].remove("masked"), "compare.groups: masked is missing"),
    "sets' network": (lambda p: p["evaluate"]["sets"].update(network="resnet50"), "evaluate.sets.network: resnet50 is not in"),
    "sets' tap": (lambda p: p["evaluate"]["sets"].update(tap="stage4"), "sets.tap: stage4 of efficientnet_lite0 has positions"),
    "no such tap": (lambda p: p["evaluate"]["sets"].update(tap="pol"), "evaluate.sets: efficientnet_lite0 has no tap 'pol'"),
    "asked of nobody": (lambda p: p["compare"]["questions"]["masked"].update(b="mae"), "questions.masked.b: mae is no method"),
    "group's dataset": (lambda p: group(p).update(dataset="nowhere"), "masked.dataset: 'nowhere' is not prepared"),
    "group's cell": (lambda p: group(p).update(cell=32), "et has learned with cells of 16 px, here they have 32"),
    "training pictures": (lambda p: group(p).update(split="train"), "masked.split: the models have learned"),
    "unknown model": (lambda p: group(p).update(models=["ett"]), "did you mean 'et'"),
    "a tokenizer": (lambda p: group(p).update(models=["codes"]), "codes is a tokenizer"),
    "twice": (lambda p: p["reconstruct_masked"].update(more=group(p)), "et stands in masked already"),
    "group's name": (
        lambda p: p["reconstruct_masked"].update(floors={**group(p), "models": []}),
        "reconstruct_masked.floors: the name belongs",
    ),
    "ratio": (lambda p: group(p).update(ratios=[0.5, 0.5]), "ratios: each once"),
    "same floors": (
        lambda p: p["reconstruct_masked"].update(more={**group(p), "pattern": "grid", "models": []}),
        "more.ratios: masked hides 0.85 of photos already",
    ),
    "a floor's name": (
        lambda p: models(p).update(floor_mean_visible=models(p)["et"]),
        "models.floor_mean_visible: the name belongs to another method",
    ),
    "too many": (lambda p: group(p).update(count=999), "masked.count: 999 pictures of test are wanted"),
    "other size": (lambda p: group(p).update(dataset="photos_32"), "et has learned with pictures of 128 px, those of photos_32"),
    "pattern": (lambda p: group(p).update(pattern="stripes"), "reconstruct_masked.masked.pattern"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(whole: dict[str, Any], fault: str) -> None:
    spoil, message = FAULTS[fault]
    spoil(whole)
    with pytest.raises(UserError) as caught:
        check(whole)
    assert message in str(caught.value)
