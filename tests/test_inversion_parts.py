"""Parts of an inversion: parametrisations, views, schedules, recipes."""

import math

import pytest
import torch

from relume.core.errors import UserError
from relume.core.images import resize
from relume.methods.latent.space import LatentSpace
from relume.methods.optimise import optimizers, parametrise, tuned
from relume.methods.optimise.config import Affine, Fourier, Jitter, Optimiser, Pixels, variation
from relume.methods.optimise.parametrise import Parametrisation
from relume.methods.optimise.prior import DeepPrior, noise
from relume.methods.optimise.views import moved, view
from tests.gan_files import KINDS, generator, latent

Space = Pixels | Fourier

INVERTIBLE: list[Space] = [
    Pixels(kind="pixels", box="projection"),
    Pixels(kind="pixels", box="sigmoid"),
    Pixels(kind="pixels", box="none"),
    Fourier(kind="fourier", decay=1.0),
    Fourier(kind="fourier", decay=0.0),
]
DRAWN: list[Parametrisation] = [
    DeepPrior(channels=4, levels=2),
    *(LatentSpace(generator(kind), latent(space)) for kind in KINDS for space in ("z", "w", "w_plus")),
]


def pictures(count: int = 2, size: int = 16) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0)) * 0.9 + 0.05


def dice(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.mark.parametrize("config", INVERTIBLE)
@pytest.mark.parametrize("size", [8, 16, 17])
def test_decode_inverts_encode(config: Space, size: int) -> None:
    space = parametrise.build(config)
    images = pictures(size=size)
    code = space.encode(images, dice(0, 1))
    assert torch.allclose(space.decode(code, size), images, atol=2e-5)
    assert torch.allclose(space.encode(images[1:], dice(1)), code[1:], atol=1e-5)


@pytest.mark.parametrize("config", INVERTIBLE)
def test_decoded_images_are_in_range_and_rows_are_independent(config: Space) -> None:
    space = parametrise.build(config)
    code = space.encode(pictures(), dice(0, 1)).requires_grad_()
    with torch.no_grad():
        code[0] += 3 * torch.randn(code.shape[1:], generator=torch.Generator().manual_seed(1))
        space.project(code)
    decoded = space.decode(code, 16)
    assert (decoded.min() >= 0 and decoded.max() <= 1) == space.bounded
    assert torch.allclose(decoded[1], pictures()[1], atol=2e-5)
    (gradient,) = torch.autograd.grad(decoded[0].sum(), [code])
    assert gradient[1].abs().max() == 0


@pytest.mark.parametrize("space", DRAWN)
def test_drawn_code_depends_on_its_generator_only(space: Parametrisation) -> None:
    code = space.encode(pictures(), dice(5, 6)).requires_grad_()
    assert torch.allclose(space.encode(1 - pictures(1), dice(6))[0], code[1], atol=1e-6)
    assert not torch.equal(code[0], code[1])
    assert [space.decode(code, size).shape[-1] for size in (8, 17, 32)] == [8, 17, 32]
    both = space.decode(code, 16)
    assert both.shape == (2, 3, 16, 16)
    assert both.min() >= 0
    assert both.max() <= 1
    assert torch.allclose(space.decode(code[1:], 16)[0], both[1], atol=1e-5)
    (gradient,) = torch.autograd.grad(both[0].sum(), [code])
    assert gradient[1].abs().max() == 0
    assert gradient[0].abs().max() > 0
    space.project(code)
    assert torch.equal(space.decode(code, 16), both)


def test_prior_equals_a_plain_network() -> None:
    """Its grouped convolutions against one network of plain functions."""
    prior = DeepPrior(channels=4, levels=1)
    code = prior.encode(pictures(), dice(0, 1))
    sizes = [144, 4, 4, 144, 4, 4, 12, 3]
    first, gain, shift, second, gain2, shift2, last, bias = code[1].split(sizes)
    x = noise(4, 8)
    for kernel, g, s in ((first, gain, shift), (second, gain2, shift2)):
        x = torch.nn.functional.conv2d(x, kernel.view(4, 4, 3, 3), padding=1)
        x = (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), keepdim=True, unbiased=False) + 1e-5).sqrt()
        x = torch.nn.functional.leaky_relu(x * g.view(1, 4, 1, 1) + s.view(1, 4, 1, 1), 0.2)
        x = torch.nn.functional.interpolate(x, size=(16, 16), mode="bilinear")
    x = torch.nn.functional.conv2d(x, last.view(3, 4, 1, 1), bias).sigmoid()
    assert torch.allclose(prior.decode(code, 16)[1], x[0], atol=1e-5)


def test_free_pixels_are_normalised_and_unbounded() -> None:
    space = parametrise.build(Pixels(kind="pixels", box="none"))
    assert torch.allclose(space.decode(torch.zeros(1, 3, 8, 8), 8)[0, :, 0, 0], torch.tensor([0.485, 0.456, 0.406]))
    assert space.decode(torch.full((1, 3, 8, 8), 10.0), 8)[0, 0, 0, 0] == pytest.approx(0.485 + 2.29)


JITTER = Jitter(kind="jitter", pixels=4)
AFFINE = Affine(kind="affine", probability=0.5, degrees=30, translate=0.1, scale=(0.7, 1.5))


@pytest.mark.parametrize("transforms", [(JITTER,), (AFFINE,), (AFFINE, JITTER)])
def test_view_is_drawn_per_sample(transforms: tuple[Jitter | Affine, ...]) -> None:
    seeds = range(8)
    many = view(pictures(8), transforms, dice(*seeds))
    alone = torch.cat([view(pictures(8)[seed : seed + 1], transforms, dice(seed)) for seed in seeds])
    assert many.shape == (8, 3, 16, 16)
    assert torch.allclose(many, alone, atol=1e-6)
    assert (many != pictures(8)).any()
    images = pictures(8).requires_grad_()
    (gradient,) = torch.autograd.grad(view(images, transforms, dice(*seeds))[0].sum(), [images])
    assert gradient[1:].abs().max() == 0
    assert gradient[0].abs().max() > 0


def test_affine_view_probability() -> None:
    rare = Affine(kind="affine", probability=1e-9, degrees=30, translate=0.1, scale=(0.7, 1.5))
    spared, used = dice(3), dice(3)
    assert torch.equal(view(pictures(1), (rare,), spared), pictures(1))
    assert not torch.equal(view(pictures(1), (Affine(**{**vars(rare), "probability": 1.0}),), used), pictures(1))
    assert torch.equal(torch.rand(1, generator=spared[0]), torch.rand(1, generator=used[0]))
    halves = view(pictures(40), (AFFINE,), dice(*range(40)))
    assert 10 < (halves == pictures(40)).flatten(1).all(1).sum() < 30


def test_affine_view() -> None:
    """A quarter turn clockwise; one pixel right and two up; twice as large."""
    images = pictures(3, 8)
    angle = torch.tensor([math.pi / 2, 0.0, 0.0])
    shift = torch.tensor([[0.0, 0.0], [1 / 8, -2 / 8], [0.0, 0.0]])
    turned, shifted, enlarged = moved(images, angle, shift, torch.tensor([1.0, 1.0, 2.0]))
    assert torch.allclose(turned, images[0].rot90(-1, dims=(1, 2)), atol=1e-5)
    assert torch.allclose(shifted[:, :6, 1:], images[1, :, 2:, :7], atol=1e-5)
    assert torch.allclose(shifted[:, :6, 0], images[1, :, 2:, 0], atol=1e-5)  # border padding
    assert torch.allclose(enlarged, resize(images[2:], 16)[0, :, 4:12, 4:12], atol=1e-5)


def optimiser(**changes: object) -> Optimiser:
    plain = {
        "rule": "adam",
        "betas": (0.9, 0.999),
        "normalise_gradient": False,
        "learning_rate": ((0, 1.0), (10, 0.5)),
        "warmup": 0,
        "cosine": False,
    }
    return Optimiser(**{**plain, **changes})  # type: ignore[arg-type]


def test_schedules() -> None:
    assert [optimizers.at(((0, 32), (4, 64)), step) for step in (0, 3, 4, 99)] == [32, 32, 64, 64]
    assert [optimizers.learning_rate(optimiser(), step, 20) for step in (0, 9, 10)] == [1.0, 1.0, 0.5]
    assert optimizers.learning_rate(optimiser(warmup=4), 0, 20) == 0.25
    assert optimizers.learning_rate(optimiser(cosine=True), 10, 20) == pytest.approx(0.25)
    falling = [optimizers.learning_rate(optimiser(cooldown=4), step, 20) for step in (16, 18, 20)]
    assert falling == pytest.approx([0.5, 0.25, 0.0])


def test_recipe_weights_replace_losses(default_params: dict) -> None:  # type: ignore[type-arg]
    """A recipe's weights replace those of `losses`; other weights come from `losses`."""
    section, losses = default_params["invert_optimise"], {"feature": 2.0, "tv": 10.0, "lpips": 0.0}
    config, _ = variation(section, losses, {"losses": {"tv": 3.0, "lpips": 0.5}}, "recipes.x")
    assert config.losses.active == {"feature": 2.0, "tv": 3.0, "lpips": 0.5}
    with pytest.raises(UserError, match=r"recipes\.x\.losses: at least one weight"):
        variation(section, losses, {"losses": {"tv": 0.0, "feature": 0.0}}, "recipes.x")


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
def test_every_tap_has_a_tuned_recipe(network: str) -> None:
    for tap, one in tuned.facts(network).taps.items():
        name = tuned.name_for(network, [tap])
        assert name in tuned.RECIPES
        assert name == f"{FAMILIES[network]}_{tuned.depth(network, tap)}"
        assert name.endswith("_pooled") == (one.stride is None)
    assert set(map(tuned.depth, [network] * len(tuned.facts(network).taps), tuned.facts(network).taps)) == set(tuned.DEPTHS)


def test_tuned_recipe_of_several_taps_and_unknown_names() -> None:
    assert tuned.name_for("alexnet_conv", ["pool", "conv5", "conv2"]) == "alexnet_shallow"
    assert tuned.name_for("resnet50", ["pool", "layer4"]) == "efficientnet_deep"
    assert tuned.family("mobilenet") == "resnet"
    with pytest.raises(UserError, match="alexnet_conv has no tap 'conv9'; did you mean"):
        tuned.name_for("alexnet_conv", ["conv9"])
    with pytest.raises(UserError, match="unknown recipe 'vgg_midle'; did you mean 'vgg_middle'"):
        tuned.recipe("vgg_midle")
