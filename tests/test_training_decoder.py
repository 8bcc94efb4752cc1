"""Training of decoders: it learns, terms, augmentation, the discriminator, features from the cache."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from relume.core.errors import UserError
from relume.core.files import read_json, write_json
from relume.core.runtime import generator
from relume.data.store import Dataset
from relume.losses.feature import relative_l2
from relume.losses.gan import hinge_discriminator, hinge_generator
from relume.methods.decoder.discriminator import Discriminator
from relume.methods.decoder.train import DecoderTrainer, adversarial, wishes
from relume.training.adversarial import DISCRIMINATOR
from relume.training.augment import augment, cutmix, rotated
from relume.training.config import Augment
from relume.training.loop import LOSS, train
from tests import decoder_files
from tests.decoder_files import extracted, settings, toy

IMAGES = torch.rand(4, 3, 16, 16, generator=generator(0, "images"))


def draws(count: int) -> list[torch.Generator]:
    return [generator(0, row) for row in range(count)]


def test_training_leaves_the_network_frozen(data: Dataset) -> None:
    """Validated on the training images, since noise does not generalise."""
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
    "all": {"losses": {"pixel": 1.0, "lpips": 0.5, "feature": 0.25, "adversarial": 0.1}},  # not a term of `measure`
}


@pytest.mark.parametrize("case", LOSSES)
def test_loss_terms(data: Dataset, case: str) -> None:
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


def test_features_are_float32_under_autocast(data: Dataset) -> None:
    """The targets are float32; features of decoded images may be half precision."""
    trainer = toy(data, losses={"feature": 1.0})
    images = trainer.pixels(trainer.train)
    plain = trainer.truth(trainer.train, images)["alexnet_conv"]["conv3"]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(trainer.truth(trainer.train, images)["alexnet_conv"]["conv3"], plain)
        assert not torch.equal(trainer.encode(trainer.train, images)["conv3"], plain)


def test_terms_of_weight_zero_load_nothing(data: Dataset) -> None:
    vgg = {"measures": {"lpips": {"network": "vgg"}}}
    assert set(toy(data, **vgg).networks) == {"alexnet_conv"}
    assert wishes(settings(**vgg), decoded=True) == {}
    lpips = settings(losses={"lpips": 1.0})
    assert wishes(lpips, decoded=True) == {"alexnet_conv": ("conv1", "conv2", "conv3", "conv4", "conv5")}
    assert wishes(lpips, decoded=False) == {"alexnet_conv": ("conv3", "conv1", "conv2", "conv4", "conv5")}, "one forward pass"
    assert wishes(settings(losses={"feature": 1.0}), decoded=True) == {"alexnet_conv": ("conv3",)}


def test_feature_moments(data: Dataset) -> None:
    trainer = toy(data, taps=["conv3", "pool"], moments=3)
    seen = trainer.encode(trainer.train[:3], trainer.pixels(trainer.train[:3]))
    found = trainer.moments()
    for tap, axes in {"conv3": (0, 2, 3), "pool": (0,)}.items():
        assert torch.allclose(found[tap][0], seen[tap].mean(axes), atol=1e-6)
        assert torch.allclose(found[tap][1], seen[tap].std(axes, correction=0), atol=1e-6)
        assert torch.equal(trainer.module.state_dict()[f"normal.{tap}.mean"], found[tap][0])


def test_validation_includes_the_baseline(data: Dataset) -> None:
    metrics = toy(data).validate()
    images = data.pixels(data.select("val"))
    own = images - images.mean((2, 3), keepdim=True)
    assert metrics["floor_own_mean"] == pytest.approx(float((-10 * own.square().mean((1, 2, 3)).log10()).mean()), abs=1e-3)
    assert {"psnr", LOSS, "pixel"} <= set(metrics)


def test_augmentation_is_per_row() -> None:
    config = Augment(flip=True, crop=0.3, colour=0.5)
    both, alone = augment(IMAGES, config, draws(4)), augment(IMAGES[:1], config, draws(1))
    assert torch.allclose(both[:1], alone, atol=1e-6)
    assert 0 <= both.min() <= both.max() <= 1


def test_cutmix_is_per_row() -> None:
    others = torch.zeros_like(IMAGES)
    mixed, alone = cutmix(IMAGES, others, 0.5, draws(4)), cutmix(IMAGES[:1], others[:1], 0.5, draws(1))
    assert torch.equal(mixed[:1], alone)
    shares = [float((row == 0).all(0).float().mean()) for row in mixed]
    assert min(shares) == 0 < max(shares) <= 0.64
    assert torch.equal(mixed, torch.where(mixed == 0, 0.0, IMAGES))
    assert torch.equal(cutmix(IMAGES, others, 0.0, draws(4)), IMAGES)


def test_flip_is_exact_and_no_augmentation_is_identity() -> None:
    flipped = augment(IMAGES, Augment(flip=True, crop=0.0, colour=0.0), draws(4))
    same = [torch.allclose(a, b, atol=1e-5) for a, b in zip(flipped, IMAGES, strict=True)]
    mirrored = [torch.allclose(a, b.flip(-1), atol=1e-5) for a, b in zip(flipped, IMAGES, strict=True)]
    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert any(same)
    assert any(mirrored)
    assert augment(IMAGES, Augment(flip=False, crop=0.0, colour=0.0), draws(4)) is IMAGES


def test_colour_rotation() -> None:
    """A third of a turn maps red to green; greys stay; zero saturation gives grey."""
    colours = rotated(torch.tensor([2 * math.pi / 3, 1.0]), torch.tensor([1.0, 0.0]))
    red, grey = torch.tensor([1.0, 0, 0]), torch.full((3,), 0.4)
    assert torch.allclose(colours[0] @ red, torch.tensor([0.0, 1, 0]), atol=1e-6)
    assert torch.allclose(colours @ grey, grey.expand(2, 3))
    assert torch.allclose(colours[1] @ red, torch.full((3,), 1 / 3))


JUDGED = 32


def discriminator(channels: int = 5) -> Discriminator:
    torch.manual_seed(0)
    return Discriminator([channels], JUDGED, 8)


def drawn(*shape: int, name: str = "x") -> Tensor:
    return torch.rand(*shape, generator=generator(0, name))


def test_hinge_losses() -> None:
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, 0.0, 1.0])
    assert hinge_discriminator(real, fake).tolist() == [0.0, 1.5, 4.0]
    assert hinge_generator(fake).tolist() == [3.0, 0.0, -1.0]


@pytest.mark.parametrize("shape", [(5, 7, 7), (5,)], ids=["map", "vector"])
def test_discriminator_rows_independent_gradients_finite(shape: tuple[int, ...]) -> None:
    extractor = discriminator().eval()
    pictures, features = drawn(3, 3, JUDGED, JUDGED).requires_grad_(), drawn(3, *shape, name="features")
    scores = extractor(pictures, [features])
    assert scores.shape == (3,)
    assert torch.allclose(extractor(pictures[1:2], [features[1:2]]), scores[1:2], atol=1e-5)
    assert not torch.allclose(extractor(pictures, [features.flip(1)]), scores, atol=1e-5), "the features matter"
    scores.sum().backward()
    assert pictures.grad is not None
    assert bool(torch.isfinite(pictures.grad).all())
    assert float(pictures.grad.abs().sum()) > 0
    assert bool(torch.isfinite(extractor(pictures, [torch.zeros(3, *shape)])).all())


def test_spectral_norm() -> None:
    extractor = discriminator()
    for _ in range(50):  # one power iteration each
        extractor(drawn(1, 3, JUDGED, JUDGED), [drawn(1, 5, name="features")])
    layers = [layer for layer in extractor.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    norms = [float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) for layer in layers]
    assert norms == pytest.approx([1.0] * len(layers), abs=0.02)
    assert len(layers) == 3 + 3


def test_adversarial_term(data: Dataset) -> None:
    trainer = toy(data, losses={"adversarial": 0.3}, taps=["conv3", "pool"])
    terms = trainer.loss([0, 1], [generator(0, row) for row in range(2)])
    assert set(terms) == {LOSS, "pixel", "adversarial", DISCRIMINATOR}
    assert float(terms[LOSS].detach()) == pytest.approx(float((terms["pixel"] + 0.3 * terms["adversarial"]).detach()))
    assert trainer.discriminator is not None
    rows, extractor = trainer.train[:2], trainer.discriminator.module.eval()
    images = trainer.pixels(rows)
    seen = list(trainer.truth(rows, images)["alexnet_conv"].values())
    assert torch.allclose(adversarial(extractor, images, images, seen)["adversarial"], -extractor(images, seen))
    assert trainer.validate().keys() == toy(data).validate().keys()
    assert toy(data).discriminator is None
    assert set(toy(data).loss([0], [generator(0, 0)])) == {LOSS, "pixel"}


FOLDER = Path("data/features/toy/alexnet_conv")
UNTOUCHED = {"augment": {"flip": False, "crop": 0.0, "colour": 0.0}}


@pytest.fixture(scope="module")
def folder(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return extracted(tmp_path_factory.mktemp("features") / FOLDER, data, [0, 1, 2])


def toy_cached(data: Dataset, folder: Path | None, **differences: Any) -> DecoderTrainer:
    """With its features from the folder, or computed where there is none."""
    where = {} if folder is None else {"features": str(FOLDER)}
    return decoder_files.toy(data, folder, **UNTOUCHED | where | {"taps": ["conv5", "pool"]} | differences)


def test_decoding_from_the_cache(data: Dataset, folder: Path) -> None:
    """Half precision changes no pixel by more than one of 255 steps."""
    computed, cached = toy_cached(data, None), toy_cached(data, folder)
    done = train(computed)
    cached.module.eval().load_state_dict(done.best)
    one, other = (made.preview().astype(int) for made in (computed, cached))
    assert (one[0] == other[0]).all()
    assert abs(one[1] - other[1]).max() <= 1
    assert one[1].std() > 1
    rows = cached.val
    for tap, value in cached.encode(rows, cached.pixels(rows)).items():
        wanted = computed.encode(rows, cached.pixels(rows))[tap]
        assert value.dtype == torch.float32
        assert torch.allclose(value, wanted, rtol=2**-10, atol=1e-6)


@pytest.mark.parametrize("losses", [{}, {"lpips": 0.1}, {"feature": 0.3, "adversarial": 0.1}], ids=["pixel", "lpips", "more"])
def test_training_from_the_cache(data: Dataset, folder: Path, losses: dict[str, float]) -> None:
    pair = [toy_cached(data, where, losses=losses) for where in (None, folder)]
    assert [made.validate()[LOSS] for made in pair] == pytest.approx([pair[0].validate()[LOSS]] * 2, rel=1e-2)
    first, second = (made.loss([0, 3], [torch.Generator()] * 2) for made in pair)
    assert {name: float(value.detach()) for name, value in first.items()} == pytest.approx(
        {name: float(value.detach()) for name, value in second.items()}, rel=1e-2
    )


def test_cached_taps_load_no_network(data: Dataset, folder: Path) -> None:
    assert set(toy_cached(data, folder).networks) == set()
    assert set(toy_cached(data, folder, losses={"feature": 0.3}).networks) == {"alexnet_conv"}
    vgg = {"losses": {"lpips": 0.1}, "measures": {"lpips": {"network": "vgg"}}}
    assert set(toy_cached(data, folder, **vgg).networks) == {"vgg16_conv"}


def test_invalid_caches(data: Dataset, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="conv1.*extract.cached.*alexnet_conv.*extract.budget_mb"):
        toy_cached(data, folder, taps=["conv1"])
    about = read_json(folder / "stats.json")
    write_json(tmp_path / "stats.json", about | {"dataset": "other"})
    with pytest.raises(UserError, match=r"\('other', 'alexnet_conv', 12\), .*\('toy', 'alexnet_conv', 12\)"):
        toy_cached(data, tmp_path)
    with pytest.raises(UserError, match="features.*no folder"):
        decoder_files.toy(data, None, **UNTOUCHED, features=str(FOLDER))
