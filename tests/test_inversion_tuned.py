"""The tuned recipes: each builds, and every tap of every network has one."""

from typing import Any

import pytest

from relume.core.errors import UserError
from relume.methods.optimise import tuned
from relume.methods.optimise.config import variation


@pytest.mark.parametrize("name", tuned.RECIPES)
def test_every_tuned_recipe_is_one(default_params: dict[str, Any], name: str) -> None:
    config, _ = variation(default_params["invert_optimise"], default_params["losses"], tuned.recipe(name), name)
    assert config.losses.tv == tuned.recipe(name)["losses"]["tv"]  # as it stands there, whatever params.yaml says


ALEXNET = {
    "shallow": ["conv1_pre", "conv1", "conv2_pre", "conv2"],
    "middle": ["conv3_pre", "conv3", "conv4_pre", "conv4"],
    "deep": ["conv5_pre", "conv5"],
    "pooled": ["pool", "pool_pre"],
}
DEPTHS: dict[str, dict[str, list[str]]] = {
    "alexnet_conv": ALEXNET,
    "alexnet": {**ALEXNET, "pooled": ["pool", "pool_pre", "fc6_pre", "fc6", "fc7_pre", "fc7", "logits"]},
    "vgg16_conv": {
        "shallow": [f"conv{name}{end}" for name in ("1_1", "1_2", "2_1", "2_2", "3_1") for end in ("_pre", "")],
        "middle": [f"conv{name}{end}" for name in ("3_2", "3_3", "4_1", "4_2") for end in ("_pre", "")],
        "deep": [f"conv{name}{end}" for name in ("4_3", "5_1", "5_2", "5_3") for end in ("_pre", "")],
        "pooled": ["pool", "pool_pre"],
    },
    "efficientnet_lite0": {
        "shallow": ["stem_pre", "stem", "stage1", "stage2"],
        "middle": ["stage3", "stage4", "stage5"],
        "deep": ["stage6", "stage7", "head_pre", "head"],
        "pooled": ["pool", "pool_pre", "logits"],
    },
    "resnet50": {
        "shallow": ["conv1_pre", "conv1", "layer1_pre", "layer1"],
        "middle": ["layer2_pre", "layer2", "layer3_pre", "layer3"],
        "deep": ["layer4_pre", "layer4"],
        "pooled": ["pool", "pool_pre", "logits"],
    },
}
FAMILIES = {
    "alexnet": "alexnet",
    "alexnet_conv": "alexnet",
    "squeezenet1_1": "alexnet",
    "vgg16": "vgg",
    "vgg16_conv": "vgg",
    "vgg19": "vgg",
    "efficientnet_lite0": "efficientnet",
    "resnet18": "efficientnet",
    "resnet152": "efficientnet",
    "inception_v3": "efficientnet",
    "clip_vit_l_14": "efficientnet",
    "clip_rn50": "efficientnet",
    "ViT-B-16/laion2b_s34b_b88k": "efficientnet",
}


@pytest.mark.parametrize("network", DEPTHS)
def test_depths_of_all_taps_by_hand(network: str) -> None:
    wanted = {tap: depth for depth, taps in DEPTHS[network].items() for tap in taps}
    assert {tap: tuned.depth(network, tap) for tap in tuned.facts(network).taps} == wanted


@pytest.mark.parametrize("network", FAMILIES)
def test_every_tap_of_every_family_has_a_recipe(network: str) -> None:
    for tap, one in tuned.facts(network).taps.items():
        name = tuned.name_for(network, [tap])
        assert name in tuned.RECIPES
        assert name == f"{FAMILIES[network]}_{tuned.depth(network, tap)}"
        assert name.endswith("_pooled") == (one.stride is None)
    assert set(map(tuned.depth, [network] * len(tuned.facts(network).taps), tuned.facts(network).taps)) == set(tuned.DEPTHS)


def test_several_taps_go_by_the_shallowest_and_unknown_names_are_told() -> None:
    assert tuned.name_for("alexnet_conv", ["pool", "conv5", "conv2"]) == "alexnet_shallow"
    assert tuned.name_for("resnet50", ["pool", "layer4"]) == "efficientnet_deep"
    assert tuned.family("mobilenet") == "resnet"
    with pytest.raises(UserError, match="alexnet_conv has no tap 'conv9'; did you mean"):
        tuned.name_for("alexnet_conv", ["conv9"])
    with pytest.raises(UserError, match="unknown recipe 'vgg_midle'; did you mean 'vgg_middle'"):
        tuned.recipe("vgg_midle")
