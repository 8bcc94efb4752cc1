"""Decoders' sections against the others: every fault by its full key."""

from typing import Any

import pytest

from relume.core.errors import UserError
from relume.params import check
from tests.test_params import change

DEEP = {"network": "alexnet_conv", "taps": ["conv5"], "features": "data/none"}
CACHED = DEEP | {"features": "data/features/photos/alexnet_conv", "augment": {"flip": False, "crop": 0.0, "colour": 0.0}}
GROUP = {"dataset": "photos", "split": "test", "count": None, "decoders": ["alexnet_conv1"]}


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("train_decoder.shared.training.stepss", 3, ["train_decoder.shared.training.stepss: unknown key"]),
        ("train_decoder.shared.dataset", "foto", ["train_decoder.shared.dataset: 'foto' is not prepared"]),
        ("train_decoder.decoders.shallow", DEEP, ["train_decoder.decoders.shallow: the name belongs to another method"]),
        ("train_decoder.decoders.x", DEEP | {"dataset": "other"}, ["decoders.x.dataset: all decoders share"]),
        ("train_decoder.decoders.x", DEEP | {"network": "resnet50"}, ["decoders.x.network: resnet50 is not in extract"]),
        ("train_decoder.decoders.x", DEEP | {"taps": ["conv55"]}, ["decoders.x.taps: alexnet_conv has no tap 'conv55'"]),
        (
            "train_decoder.decoders.x",
            {"network": "alexnet_conv", "taps": ["conv5"]},
            ["decoders.x.features: missing"],
        ),
        ("train_decoder.decoders.x", DEEP | {"features": "here"}, ["decoders.x.features: "]),
        (
            "train_decoder.decoders.x",
            CACHED | {"augment": {"flip": True}},
            ["decoders.x.features: ", "set augment.flip to false"],
        ),
        (
            "train_decoder.decoders.x",
            CACHED | {"network": "vgg16_conv", "taps": ["pool"], "features": "data/features/photos/vgg16_conv"},
            ["extract.cached: vgg16_conv is missing, whose features train_decoder.decoders.x reads"],
        ),
        (
            "train_decoder.decoders.x",
            DEEP | {"taps": ["conv5", "pool"], "architecture": {"kind": "conv_only"}},
            ["decoders.x.taps: architecture conv_only decodes maps; pool has no positions"],
        ),
        ("weights.networks", ["vgg16_conv", "efficientnet_lite0"], ["alexnet_conv is missing, which train_decoder.decoders"]),
        ("invert_decoder.decoders.decoders", ["nobody"], ["invert_decoder.decoders.decoders: nobody is not in train_decoder"]),
        ("invert_decoder.decoders.dataset", "foto", ["invert_decoder.decoders.dataset: 'foto' is not floors.dataset"]),
        (
            "invert_decoder.decoders.count",
            25,
            ["invert_decoder.decoders.count: 25 pictures of test are wanted; prepare"],
        ),
        ("invert_decoder.decoders.count", 8, ["recipes.refined.start: decoders has the first 8 pictures of test, and all"]),
        ("invert_optimise.split", "val", ["recipes.refined.start: decoders is of split test, and pictures of val are wanted"]),
        (
            "train_decoder.decoders.x",
            DEEP | {"validation": 25},
            ["decoders.x.validation: 25 pictures are wanted; prepare makes"],
        ),
        ("train_decoder.shared.validation", 25, ["decoders.alexnet_conv1.validation: 25 pictures are wanted"]),
        ("invert_decoder.again", GROUP, ["alexnet_conv1 stands in decoders already", "compare.groups: again is missing"]),
        ("recipes.decoders", {"network": "alexnet_conv"}, ["recipes.decoders: the name belongs to the group"]),
    ],
)
def test_faults_are_named(default_params: dict[str, Any], key: str, value: Any, words: list[str]) -> None:
    if key == "recipes.decoders":
        value = default_params["recipes"]["shallow"]
    with pytest.raises(UserError) as error:
        check(change(default_params, key, value))
    for word in words:
        assert word in str(error.value)


def test_features_from_the_cache_are_allowed_where_they_are_kept(default_params: dict[str, Any]) -> None:
    check(change(default_params, "train_decoder.decoders.x", CACHED))
    with pytest.raises(UserError, match="extract.cached: alexnet_conv is missing"):
        check(change(change(default_params, "train_decoder.decoders.x", CACHED), "extract.cached", ["efficientnet_lite0"]))
