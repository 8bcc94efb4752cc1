"""What sections of generators must agree about, each fault by its key."""

from collections.abc import Callable
from typing import Any

import pytest

from relume.core.errors import UserError
from relume.params import check


def models(params: dict[str, Any]) -> Any:
    return params["train_gan"]["models"]


def shared(params: dict[str, Any]) -> Any:
    return params["train_gan"]["shared"]


def blinded(params: dict[str, Any]) -> None:
    params["prepare"]["datasets"]["photos_32"].update(pixels=16)
    shared(params).update(eye={"network": "alexnet_conv", "tap": "conv5"})
    shared(params)["duel"].update(network="vgg16_conv", taps=["conv1_2"])


def judged_by_nobody(params: dict[str, Any]) -> None:
    params["reconstruct_masked"], params["compare"]["questions"] = {}, {}
    params["compare"]["groups"].remove("masked")
    params["evaluate"]["sets"]["network"] = "resnet50"


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "dataset": (lambda p: shared(p).update(dataset="nowhere"), "models.style.dataset: 'nowhere' is not prepared"),
    "own dataset": (lambda p: models(p)["style"].update(dataset="photos"), "models.style.dataset: all generators share"),
    "onlooker": (lambda p: shared(p)["duel"].update(network="resnet50"), "models.style.duel.network: resnet50 is not in"),
    "onlooker's tap": (lambda p: shared(p)["duel"].update(taps=["conv9"]), "style.duel: alexnet_conv has no tap 'conv9'"),
    "judge is onlooker": (lambda p: shared(p)["duel"].update(network="efficientnet_lite0"), "efficientnet_lite0 is the eye"),
    "size": (lambda p: p["prepare"]["datasets"]["photos_32"].update(pixels=48), "those of photos_32 have 48"),
    "validation": (lambda p: shared(p).update(validation=99), "models.style: 99 pictures of val are wanted; prepare makes 48"),
    "eye": (lambda p: shared(p)["eye"].update(network="resnet50"), "models.style.eye.network: resnet50 is not in"),
    "eye's tap": (lambda p: shared(p)["eye"].update(tap="pol"), "models.style.eye: efficientnet_lite0 has no tap 'pol'"),
    "blind eye": (blinded, "models.style.eye: alexnet_conv sees pictures of 31 px or more"),
    "name": (lambda p: models(p).update(deep={}), "models.deep: the name belongs to another method"),
    "floor's name": (lambda p: models(p).update(floor_x={}), "models.floor_x: the name belongs to another method"),
    "a masked model's": (lambda p: models(p).update(et={}), "models.et: the name belongs to another method"),
    "duel": (lambda p: shared(p)["duel"].update(cells=0), "train_gan.shared.duel.cells"),
    "scored": (lambda p: p["score_samples"].update(models=["stile"]), "score_samples.models: stile is not in train_gan.models"),
    "learned from": (lambda p: p["score_samples"].update(split="train"), "score_samples.split: generators have learned"),
    "no split": (lambda p: p["score_samples"].update(split="tests"), "score_samples.split: unknown split 'tests'"),
    "too many": (lambda p: p["score_samples"].update(count=513), "score_samples.count: 513 samples are wanted, train_gan draws"),
    "patches": (lambda p: p["score_samples"].update(patches=5), "score_samples.patches: pictures of 32 px cannot be cut"),
    "withheld": (
        lambda p: shared(p).update(withheld=2000),
        "style: 2001 pictures of train are wanted",
    ),
    "learned": (
        lambda p: p["score_samples"].update(withheld=401),
        "score_samples.withheld: 401 pictures are wanted",
    ),
    "one": (lambda p: p["score_samples"].update(withheld=1), "score_samples.withheld: a distance needs two pictures"),
    "judge": (judged_by_nobody, "evaluate.sets.network: resnet50 is not in weights.networks"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(default_params: dict[str, Any], fault: str) -> None:
    spoil, message = FAULTS[fault]
    spoil(default_params)
    with pytest.raises(UserError) as caught:
        check(default_params)
    assert message in str(caught.value)


def test_an_eye_that_enlarges_is_asked_how_far(default_params: dict[str, Any]) -> None:
    blinded(default_params)
    default_params["prepare"]["datasets"]["photos_32"].update(pixels=32)
    shared(default_params)["eye"]["pixels"] = 32
    check(default_params)
    shared(default_params)["duel"].update(network="vgg16_conv", taps=["conv4_3"], pixels=8)
    with pytest.raises(UserError, match=r"models.style.duel: vgg16_conv sees pictures of 16 px or more, these have 8"):
        check(default_params)


def test_without_generators_their_dataset_is_nobodys(default_params: dict[str, Any]) -> None:
    default_params["train_gan"] |= {"models": {}}
    default_params["train_mapper"]["models"], default_params["invert_latent"] = {}, {}
    default_params["train_landscape"]["models"], default_params["invert_landscape"] = {}, {}
    for group in ("latents", "pictures"):
        default_params["compare"]["groups"].remove(group)
    default_params["compare"]["questions"] = {}
    default_params["train_gan"]["shared"]["dataset"] = "nowhere"
    default_params["score_samples"]["models"] = []
    check(default_params)
