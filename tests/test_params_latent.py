"""What the sections of latents must agree about, each fault by its key."""

import copy
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest

from relume.core.config import build
from relume.core.errors import UserError
from relume.methods.latent.config import InvertLatent, base, inherited
from relume.methods.optimise.config import InvertOptimise
from relume.params import check


@pytest.fixture
def whole(default_params: dict[str, Any]) -> dict[str, Any]:
    """The committed parameters: a mapper of conv5, a group of three methods."""
    return copy.deepcopy(default_params)


def test_what_agrees_is_let_through(whole: dict[str, Any]) -> None:
    check(whole)


def test_a_generator_of_others_is_one_too(whole: dict[str, Any]) -> None:
    outer = {"kind": "stylegan", "source": "outer.pt", "sha256": "0" * 64, "size": 1024}
    whole["import_gan"]["models"]["outer"] = outer
    mapper(whole)["generator"] = group(whole)["generator"] = "models/gan/outer"
    whole["invert_landscape"] = {}
    whole["compare"]["groups"].remove("pictures")
    for name in ("landscape_or_plain", "landscape_or_plain_20", "mapper_or_mean_latent"):
        del whole["compare"]["questions"][name]
    check(whole)


def test_a_group_says_what_differs_from_invert_optimise(whole: dict[str, Any]) -> None:
    section = build(InvertLatent, group(whole), "latents")
    taken = base(inherited(section, whole["invert_optimise"]), "latents")
    usual = build(InvertOptimise, whole["invert_optimise"], "invert_optimise")
    for key, value in asdict(taken).items():
        assert (value == asdict(usual)[key]) == (key not in group(whole)["base"]), key
    assert taken.terms.guide.grid == 6
    assert replace(taken.terms, guide=usual.terms.guide) == usual.terms, "nothing else of the terms is said anew"
    whole["invert_optimise"]["stop"]["patience"] = 7
    assert base(inherited(section, whole["invert_optimise"]), "latents").stop.patience == 7


def mapper(params: dict[str, Any]) -> Any:
    return params["train_mapper"]["models"]["mapper_conv5"]


def group(params: dict[str, Any]) -> Any:
    return params["invert_latent"]["latents"]


def ways(params: dict[str, Any]) -> Any:
    return group(params)["methods"]


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "dataset": (lambda p: p["train_mapper"]["shared"].update(dataset="nowhere"), "train_mapper.shared.dataset: 'nowhere'"),
    "generator": (
        lambda p: mapper(p).update(generator="models/gan/stile"),
        "mapper_conv5.generator: stile is neither in train_gan.models nor in import_gan",
    ),
    "tap": (lambda p: mapper(p).update(taps=["conv9"]), "train_mapper.models.mapper_conv5.taps: alexnet_conv has no tap 'conv9'"),
    "network": (lambda p: mapper(p).update(network="resnet50"), "weights.networks: resnet50 is missing, which train_mapper"),
    "unstated": (lambda p: mapper(p).pop("network"), "train_mapper.models.mapper_conv5.network: missing"),
    "name": (lambda p: p["train_mapper"]["models"].update(deep=mapper(p)), "models.deep: the name belongs to another method"),
    "group's generator": (
        lambda p: group(p).update(generator="models/gan/stile"),
        "latents.generator: stile is neither in train_gan.models nor",
    ),
    "other generator": (lambda p: mapper(p).update(generator="models/gan/x"), "maps alexnet_conv to models/gan/x, not"),
    "unknown mapper": (lambda p: group(p).update(mapper="models/mapper/x"), "latents.mapper: x is not in train_mapper.models"),
    "foreign tap": (lambda p: mapper(p).update(taps=["conv3"]), "latent_w_plus.taps: the mapper reads conv3, which is not among"),
    "space": (
        lambda p: (
            p["train_mapper"]["shared"].update(space="w_plus")
            or ways(p)["latent_w_plus"].update(parametrisation={"space": "w", "start": "given"})
        ),
        "latent_w_plus.parametrisation.space: the mapper names latents in w_plus; allowed: w_plus",
    ),
    "split": (lambda p: group(p)["base"].update(split="val"), "latents.base: floors are of photos, test"),
    "method's split": (lambda p: ways(p)["latent_mean"].update(count=3), "latent_mean.count: all methods of a group share"),
    "method's name": (lambda p: ways(p).update(deep={}), "invert_latent: deep is the name of two methods"),
    "twice": (lambda p: p["invert_latent"].update(more=group(p)), "invert_latent: floor_mean_style is the name of two methods"),
    "group's name": (lambda p: p["invert_latent"].update(floors=group(p)), "invert_latent.floors: the name belongs"),
    "term": (lambda p: group(p)["losses"].update(ref=1.0), "latent_mean.losses.ref: an earlier group is wanted"),
    "learned": (lambda p: group(p)["losses"].update(surrogate=1.0), "losses.surrogate: a surrogate embedding is wanted"),
    "weights": (lambda p: group(p)["losses"].update(clip=1.0), "weights.networks: clip_vit_l_14 is missing"),
    "base": (lambda p: group(p)["base"].update(stepz=3), "invert_latent.latents.base.stepz: unknown key"),
    "not compared": (lambda p: p["compare"]["groups"].remove("latents"), "compare.groups: latents is missing"),
    "no mapper": (lambda p: group(p).update(mapper="data/none"), "latent_w_plus.parametrisation: it begins where"),
    "foreign picture": (
        lambda p: (
            mapper(p).update(taps=["conv3"])
            or ways(p).update(pixels={"parametrisation": p["invert_optimise"]["parametrisation"]})
        ),
        "methods.pixels.taps: the mapper reads conv3, which is not among",
    ),
    "a recipe": (
        lambda p: p["recipes"]["deep"].update(parametrisation=group(p)["base"]["parametrisation"]),
        "recipes.deep.parametrisation.kind: latent spaces belong to section invert_latent",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(whole: dict[str, Any], fault: str) -> None:
    spoil, message = FAULTS[fault]
    spoil(whole)
    with pytest.raises(UserError) as caught:
        check(whole)
    assert message in str(caught.value)
