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
FAMILIES = {
    "alexnet": "alexnet",
    "squeezenet1_1": "alexnet",
    "vgg16": "vgg",
    "efficientnet_lite0": "efficientnet",
    "resnet18": "efficientnet",
    "inception_v3": "efficientnet",
    "clip_vit_l_14": "efficientnet",
    "ViT-B-16/laion2b_s34b_b88k": "efficientnet",
}


def test_depths_of_all_taps_by_hand() -> None:
    wanted = {tap: depth for depth, taps in ALEXNET.items() for tap in taps}
    assert {tap: tuned.depth("alexnet_conv", tap) for tap in tuned.facts("alexnet_conv").taps} == wanted


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
