"""The tuned recipes: each builds, and every tap of every network has one."""

import pytest

from relume.core.errors import UserError
from relume.methods.optimise import tuned

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
