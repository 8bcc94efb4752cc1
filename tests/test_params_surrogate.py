"""Section `train_surrogate` and the recipes that ask a surrogate: every fault by its full key."""

from typing import Any

import pytest

from relume.core.errors import UserError
from relume.params import check
from tests.test_params import change

MODEL = "train_surrogate.models.surrogate_conv5"
ASKED = {
    **{f"recipes.{name}.losses.surrogate": 0.0 for name in ("shallow", "pooled", "refined", "s0")},
    "losses.surrogate": 1.0,
    "recipes.deep.surrogate": "models/surrogate/surrogate_conv5",
    "recipes.deep.weights": "models/weights/efficientnet_lite0",
}


def changed(params: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    for recipe in params["recipes"].values():
        recipe.setdefault("losses", {})
    for key, value in changes.items():
        change(params, key, value)
    return params


def test_a_recipe_may_ask_a_surrogate_of_its_own_features(default_params: dict[str, Any]) -> None:
    check(changed(default_params, ASKED))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({f"{MODEL}.taps": ["conv9"]}, f"{MODEL}.taps: alexnet_conv has no tap 'conv9'"),
        ({f"{MODEL}.target.tap": "poool"}, f"{MODEL}.target.tap: efficientnet_lite0 has no tap 'poool'"),
        ({f"{MODEL}.target.network": "resnet50"}, f"{MODEL}.target.network: resnet50 is not in weights.networks"),
        ({f"{MODEL}.features": "data/features/photos"}, f"{MODEL}.features: 'data/features/photos' is neither"),
        ({f"{MODEL}.target.features": "data/images/photos_32"}, f"{MODEL}.target.features: 'data/images/photos_32' is neither"),
        (
            {"extract.networks": ["alexnet_conv", "vgg16_conv"], "extract.cached": ["alexnet_conv"]},
            f"{MODEL}.target.features: the stage extract writes no data/",
        ),
        ({f"{MODEL}.validation": 99}, f"{MODEL}.validation: 99 pictures are wanted; prepare makes"),
        ({f"{MODEL}.dataset": "photos_32"}, f"{MODEL}.dataset: all surrogates share"),
        ({"train_surrogate.shared.dataset": "foto"}, "train_surrogate.shared.dataset: 'foto' is not prepared"),
        ({"train_surrogate.shared.penalties": []}, "train_surrogate.shared.penalties"),
        ({"train_surrogate.models": {"et": {}}}, "train_surrogate.models.et.network: missing"),
        ({"recipes.deep.surrogate": "models/surrogate/non"}, "recipes.deep.surrogate: models/surrogate/non is neither"),
        ({"recipes.deep.surrogate": "surrogate_conv5"}, "recipes.deep.surrogate: surrogate_conv5 is neither"),
        ({"recipes.deep.surrogate": "data/none"}, "recipes.deep.surrogate: the surrogate term asks a model: name one"),
        ({"recipes.deep.taps": {"conv3": 1.0}}, "recipes.deep.surrogate: surrogate_conv5 predicts from alexnet_conv conv5, and"),
        ({"recipes.deep.weights": "models/weights"}, ""),
        ({"losses.surrogate": 0.0}, "recipes.deep.surrogate: surrogate_conv5 is named, but losses.surrogate has no weight here"),
    ],
)
def test_a_fault_is_named(default_params: dict[str, Any], changes: dict[str, Any], words: str) -> None:
    params = changed(default_params, ASKED | changes)
    if not words:
        check(params)
        return
    with pytest.raises(UserError) as caught:
        check(params)
    assert words in str(caught.value)


def test_the_predicted_network_is_declared(default_params: dict[str, Any]) -> None:
    networks = [*default_params["weights"]["networks"], "resnet50"]
    params = changed(default_params, ASKED | {"weights.networks": networks, "recipes.deep.weights": "models/weights/resnet50"})
    with pytest.raises(UserError, match=r"recipes\.deep\.weights: surrogate needs efficientnet_lite0: say models/weights/eff"):
        check(params)
