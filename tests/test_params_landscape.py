"""What the sections of landscapes must agree about, each fault by its key."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from relume.core.errors import UserError
from relume.params import check


@pytest.fixture
def whole(default_params: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(default_params)


def group(params: dict[str, Any]) -> Any:
    return params["invert_landscape"]["pictures"]


def shared(params: dict[str, Any]) -> Any:
    return params["train_landscape"]["shared"]


def model(params: dict[str, Any]) -> Any:
    return params["train_landscape"]["models"]["landscape"]


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "dataset": (lambda p: shared(p).update(dataset="nowhere"), "train_landscape.shared.dataset: 'nowhere' is not prepared"),
    "other_dataset": (lambda p: model(p).update(dataset="photos"), "models.landscape.dataset: all landscapes share"),
    "generator": (lambda p: model(p).update(generator="models/gan/stile"), "landscape.generator: stile is not in train_gan"),
    "judge": (
        lambda p: p["weights"]["networks"].remove("lpips_alex"),
        "lpips_alex is missing, which dvc.yaml declares",
    ),
    "no_pictures": (lambda p: p["prepare"]["datasets"]["photos_32"].update(val=0), "photos_32.val: landscapes want pictures"),
    "walkers": (lambda p: shared(p)["descents"].update(walkers=99), "descents.walkers: a batch, 16, at most; got 99"),
    "landscape": (lambda p: group(p).update(landscape="models/landscape/moon"), "pictures.landscape: moon is not in train_land"),
    "mapper": (lambda p: group(p).update(mapper="models/mapper/moon"), "pictures.mapper: moon is not in train_mapper"),
    "space": (lambda p: shared(p).update(space="z"), "mapper_conv5 speaks to w of models/gan/style; wanted is z"),
    "pictures": (lambda p: group(p).update(count=99), "invert_landscape.pictures.count: 99 pictures of test"),
    "method": (lambda p: group(p)["methods"].update(deep=group(p)["methods"]["plain"]), "deep is the name of two methods"),
    "unknown": (lambda p: group(p)["methods"]["plain"].update(stepps=3), "methods.plain.stepps: unknown key"),
    "compared": (lambda p: p["compare"]["groups"].remove("pictures"), "compare.groups: pictures is missing"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named(whole: dict[str, Any], name: str) -> None:
    spoil, told = FAULTS[name]
    spoil(whole)
    with pytest.raises(UserError) as caught:
        check(whole)
    assert told in str(caught.value)


def test_an_imported_generator_will_do(whole: dict[str, Any]) -> None:
    """Its name is known, so nothing is told of it; what is left to say is that the mapper speaks to another."""
    external = {"kind": "stylegan", "source": "faces.pt", "sha256": "0" * 64, "size": 64}
    whole["import_gan"]["models"]["faces"] = external
    model(whole)["generator"] = group(whole)["generator"] = "models/gan/faces"
    with pytest.raises(UserError) as caught:
        check(whole)
    (fault,) = str(caught.value).splitlines()
    assert "mapper_conv5 speaks to w of models/gan/style; wanted is w of models/gan/faces" in fault


def test_without_a_mapper(whole: dict[str, Any]) -> None:
    """What begins there must go."""
    group(whole)["mapper"] = "data/none"
    with pytest.raises(UserError, match="mapper: plain_mapper, landscape_mapper begins where a mapper says"):
        check(whole)
    group(whole)["methods"] = {name: group(whole)["methods"][name] for name in ("plain", "plain_20", "landscape")}
    check(whole)
