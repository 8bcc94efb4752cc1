"""Training a decoder of a network with random weights: it learns, terms are what they say, the network rests."""

import math
from typing import Any

import pytest
import torch

from relume.core.errors import UserError
from relume.core.runtime import generator
from relume.data.store import Dataset
from relume.losses.feature import relative_l2
from relume.methods.decoder.terms import wishes
from relume.training.augment import augment, rotated
from relume.training.config import Augment
from relume.training.loop import LOSS, train
from tests.decoder_files import dataset, entries, settings, shared, toy, training

IMAGES = torch.rand(4, 3, 16, 16, generator=generator(0, "images"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset(tmp_path_factory.mktemp("data"))


def draws(count: int) -> list[torch.Generator]:
    return [generator(0, row) for row in range(count)]


def test_it_learns_and_the_network_rests(data: Dataset) -> None:
    """On noise there is nothing to learn but the training pictures themselves."""
    plain = {"augment": {"flip": False, "crop": 0.0, "colour": 0.0}, "training": {"steps": 30, "validate_every": 10}}
    trainer = toy(data, **plain, validation=1)
    trainer.val = trainer.train
    before = {name: value.clone() for name, value in trainer.networks["alexnet_conv"].state_dict().items()}
    first = trainer.validate()
    done = train(trainer)
    assert done.metrics[LOSS] < 0.5 * first[LOSS]
    after = trainer.networks["alexnet_conv"].state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not trainer.networks["alexnet_conv"].training
    assert all(parameter.grad is None for parameter in trainer.networks["alexnet_conv"].parameters())


LOSSES = {
    "pixel": {"losses": {"pixel": 1.0}},
    "l1": {"losses": {"pixel": 1.0}, "measures": {"pixel": "l1"}},
    "feature": {"losses": {"pixel": 0.0, "feature": 1.0}},
    "all": {"losses": {"pixel": 1.0, "lpips": 0.5, "feature": 0.25, "adversarial": 0.1}},  # which is no measure
}


@pytest.mark.parametrize("case", LOSSES)
def test_terms_are_what_they_say(data: Dataset, case: str) -> None:
    trainer = toy(data, **LOSSES[case])
    trainer.module.eval()
    images = trainer.pixels(trainer.train)
    pictures, terms = trainer.measure(images, trainer.truth(trainer.train, images))
    weights = {name: weight for name, weight in vars(trainer.config.losses).items() if weight and name != "adversarial"}
    assert set(terms) == {LOSS, *weights}
    assert torch.allclose(terms[LOSS], sum(weight * terms[name] for name, weight in weights.items()))  # type: ignore[arg-type]
    if "pixel" in terms:
        error = (pictures - images).flatten(1)
        wanted = error.abs().mean(1) if case == "l1" else error.square().mean(1)
        assert torch.allclose(terms["pixel"], wanted)
    if "feature" in terms:
        here, there = (trainer.encode(trainer.train, of)["conv3"] for of in (pictures, images))
        wanted = relative_l2(here, there)
        assert torch.allclose(terms["feature"], wanted, rtol=1e-4)
    terms[LOSS].sum().backward()
    assert all(weights.grad is not None and torch.isfinite(weights.grad).all() for weights in trainer.module.parameters())


def test_what_is_decoded_is_seen_in_float32_also_under_autocast(data: Dataset) -> None:
    """Decoders are used on such features; of their own pictures half precision is enough."""
    trainer = toy(data, losses={"feature": 1.0})
    images = trainer.pixels(trainer.train)
    plain = trainer.truth(trainer.train, images)["alexnet_conv"]["conv3"]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(trainer.truth(trainer.train, images)["alexnet_conv"]["conv3"], plain)
        assert not torch.equal(trainer.encode(trainer.train, images)["conv3"], plain), "autocast is on"


def test_a_term_of_weight_zero_costs_nothing(data: Dataset) -> None:
    vgg = {"measures": {"lpips": {"network": "vgg"}}}
    assert set(toy(data, **vgg).networks) == {"alexnet_conv"}
    assert wishes(settings(**vgg), decoded=True) == {}
    lpips = settings(losses={"lpips": 1.0})
    assert wishes(lpips, decoded=True) == {"alexnet_conv": ("conv1", "conv2", "conv3", "conv4", "conv5")}
    assert wishes(lpips, decoded=False) == {"alexnet_conv": ("conv3", "conv1", "conv2", "conv4", "conv5")}, "one forward pass"
    assert wishes(settings(losses={"feature": 1.0}), decoded=True) == {"alexnet_conv": ("conv3",)}


def test_moments_are_those_of_numpy(data: Dataset) -> None:
    trainer = toy(data, taps=["conv3", "pool"], moments=3)
    seen = trainer.encode(trainer.train[:3], trainer.pixels(trainer.train[:3]))
    found = trainer.moments()
    for tap, axes in {"conv3": (0, 2, 3), "pool": (0,)}.items():
        assert torch.allclose(found[tap][0], seen[tap].mean(axes), atol=1e-6)
        assert torch.allclose(found[tap][1], seen[tap].std(axes, correction=0), atol=1e-6)
        assert torch.equal(trainer.module.state_dict()[f"normal.{tap}.mean"], found[tap][0])


def test_validation_states_the_floor_beside_the_score(data: Dataset) -> None:
    metrics = toy(data).validate()
    images = data.pixels(data.select("val"))
    own = images - images.mean((2, 3), keepdim=True)
    assert metrics["floor_own_mean"] == pytest.approx(float((-10 * own.square().mean((1, 2, 3)).log10()).mean()), abs=1e-3)
    assert {"psnr", LOSS, "pixel"} <= set(metrics)


def test_rows_of_a_batch_draw_for_themselves() -> None:
    config = Augment(flip=True, crop=0.3, colour=0.5)
    both, alone = augment(IMAGES, config, draws(4)), augment(IMAGES[:1], config, draws(1))
    assert torch.allclose(both[:1], alone, atol=1e-6)
    assert 0 <= both.min() <= both.max() <= 1


def test_a_flip_is_exact_and_nothing_asked_is_nothing_done() -> None:
    flipped = augment(IMAGES, Augment(flip=True, crop=0.0, colour=0.0), draws(4))
    same = [torch.allclose(a, b, atol=1e-5) for a, b in zip(flipped, IMAGES, strict=True)]
    mirrored = [torch.allclose(a, b.flip(-1), atol=1e-5) for a, b in zip(flipped, IMAGES, strict=True)]
    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert any(same)
    assert any(mirrored)
    assert augment(IMAGES, Augment(flip=False, crop=0.0, colour=0.0), draws(4)) is IMAGES


def test_colours_turn_about_the_greys() -> None:
    """A third of a turn makes green of red; greys stay; without saturation only they are left."""
    colours = rotated(torch.tensor([2 * math.pi / 3, 1.0]), torch.tensor([1.0, 0.0]))
    red, grey = torch.tensor([1.0, 0, 0]), torch.full((3,), 0.4)
    assert torch.allclose(colours[0] @ red, torch.tensor([0.0, 1, 0]), atol=1e-6)
    assert torch.allclose(colours @ grey, grey.expand(2, 3))
    assert torch.allclose(colours[1] @ red, torch.full((3,), 1 / 3))


def section(**decoder: Any) -> dict[str, Any]:
    return {"shared": shared(), "decoders": {"toy": {"network": "alexnet_conv", "taps": ["conv3"], **decoder}}}


@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        ({"taps": ["conv1", "conv2"], "architecture": {"kind": "per_layer"}}, "decodes one tap, got 2"),
        ({"architecture": {"kind": "conv_only", "width": 8}}, "architecture.width: unknown key"),
        ({"losses": {"pixel": 0.0}}, "nothing to learn"),
        ({"losses": {"pixel": 0.0, "adversarial": 1.0}}, "losses.pixel: .* cannot tell by itself which weights are best"),
        ({"measures": {"adversarial": {"width": 2}}}, "toy.measures.adversarial.width"),
        ({"training": training(log_every=4, validate_every=6)}, "a multiple of log_every, 4"),
    ],
)
def test_faults_are_named_by_their_key(decoder: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        entries("train_decoder", section(**decoder))
