"""Generators behind one interface: range, rows, w+ and noise, known sizes, layers; samples and walks."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from relume.core.config import build
from relume.core.errors import UserError
from relume.core.files import read_json
from relume.core.images import to_uint8
from relume.core.run import Run
from relume.core.runtime import generator as die
from relume.core.samples import Samples, read_samples, write_samples
from relume.methods.gan.config import Drawn, GanArchitecture, GeneratorArchitecture
from relume.methods.gan.equalised import EqualConv, ModulatedConv, binomial, doubled
from relume.methods.gan.generator import Generator, set_mean
from relume.methods.gan.model import DISCRIMINATORS, GENERATORS
from relume.methods.gan.samples import arc, between, sampled
from relume.methods.gan.style_gan import with_deviation
from tests.gan_files import KINDS, SIZE, architecture, dice, discriminator, generator


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_every_kind_is_covered() -> None:
    trained, used = (
        {get_args(cls.__dataclass_fields__["kind"].type)[0] for cls in get_args(get_args(union)[0])}
        for union in (GanArchitecture, GeneratorArchitecture)
    )
    assert trained == set(DISCRIMINATORS) == set(KINDS)
    assert used == set(GENERATORS) == trained | {"stylegan"}, "stylegan: see test_models_style_gan1.py"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [8, 32])
def test_images_in_range_rows_independent_gradients_finite(kind: str, size: int) -> None:
    made = generator(kind, size)
    z, noise = made.draw(dice(0, 1, 2)).requires_grad_(), made.draw_noise(dice(3, 4, 5))
    pictures = made(z, noise)
    assert pictures.shape == (3, 3, size, size)
    assert 0 <= pictures.min() < pictures.max() <= 1
    assert torch.allclose(made(z[1:2], [one[1:2] for one in noise]), pictures[1:2], atol=1e-5)
    (gradient,) = torch.autograd.grad(pictures[0].sum(), [z])
    assert bool(torch.isfinite(gradient).all())
    assert gradient[0].abs().max() > 0
    assert gradient[1:].abs().max() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_w_plus(kind: str) -> None:
    made = generator(kind)
    w = made.map(made.draw(dice(0, 1)))
    assert w.shape == (2, made.width)
    plus = made.spread(w).clone().requires_grad_()
    assert plus.shape == (2, made.layers, made.width)
    pictures = made.synthesise(plus)
    assert torch.allclose(pictures, made.synthesise(w), atol=1e-6)
    (gradient,) = torch.autograd.grad(pictures.square().sum(), [plus])
    assert bool((gradient.abs().amax(2) > 0).all())
    with pytest.raises(ValueError, match="needs w .*, got"):
        made.synthesise(w[:, :-1])


@pytest.mark.parametrize("kind", KINDS)
def test_discriminator_scores_and_second_gradients(kind: str) -> None:
    extractor = discriminator(kind)
    pictures = torch.rand(4, 3, SIZE, SIZE, generator=dice(0)[0]).requires_grad_()
    scores = extractor(pictures)
    assert scores.shape == (4,)
    (gradient,) = torch.autograd.grad(scores.sum(), [pictures], create_graph=True)
    gradient.square().sum().backward()
    assert all(bool(torch.isfinite(weights.grad).all()) for weights in extractor.parameters() if weights.grad is not None)
    assert any(float(weights.grad.abs().sum()) > 0 for weights in extractor.parameters() if weights.grad is not None)
    assert torch.allclose(extractor(pictures.to(memory_format=torch.channels_last)), scores, atol=1e-5), (
        "however they lie in memory"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_and_invalid_sizes(kind: str) -> None:
    made, extractor = generator(kind), discriminator(kind)
    z = made.draw(dice(0, 1))
    with torch.autocast("cpu", torch.bfloat16):
        pictures = made(z)
        assert bool(torch.isfinite(extractor(pictures)).all())
    assert pictures.dtype == torch.float32
    assert torch.allclose(pictures, made(z), atol=0.1)
    with pytest.raises(UserError, match=f"architecture {kind}: .*24"):
        generator(kind, 24)
    with pytest.raises(UserError, match="architecture.kind"):
        architecture("dcgan", kind="vae")
    with pytest.raises(UserError, match="widest"):
        architecture("style", widest=2)


def test_dcgan_parameter_counts() -> None:
    """Latent 100, width 64, 64 px: the counts of PyTorch's DCGAN example."""
    made, extractor = generator("dcgan", 64, latent=100, width=64), discriminator("dcgan", 64, latent=100, width=64)
    assert sum(weights.numel() for weights in made.parameters()) == 3_576_704
    assert sum(weights.numel() for weights in extractor.parameters()) == 2_765_568


@pytest.mark.parametrize("demodulates", [True, False])
def test_modulated_convolution(demodulates: bool) -> None:
    """Against one kernel per row, as in the paper."""
    torch.manual_seed(0)
    layer = ModulatedConv(5, 4, 3, demodulates=demodulates)
    x, w = drawn(2, 5, 6, 6), drawn(2, 3, seed=1)
    found = layer(x, w)
    for row in range(2):
        kernel = layer.weight * layer.scale * layer.style(w[row : row + 1]).view(1, 5, 1, 1)
        if demodulates:
            kernel = kernel / kernel.square().sum((1, 2, 3), keepdim=True).sqrt()
        assert torch.allclose(found[row], F.conv2d(x[row : row + 1], kernel, padding=1)[0], atol=1e-5)


def test_upsampling_convolution() -> None:
    """Away from the border; a transposed convolution flips its kernel."""
    torch.manual_seed(0)
    layer = ModulatedConv(5, 4, 3, doubles=True, demodulates=False)
    x, w = drawn(1, 5, 6, 6), drawn(1, 3, seed=1)
    kernel = (layer.weight * layer.scale * layer.style(w).view(1, 5, 1, 1)).flip(2, 3)
    wanted = F.conv2d(doubled(x), kernel, padding=1)
    assert layer(x, w).shape == wanted.shape
    assert torch.allclose(layer(x, w)[..., 3:-3, 3:-3], wanted[..., 3:-3, 3:-3], atol=1e-5)


def test_minibatch_deviation() -> None:
    """Six rows are two groups of three, 0 2 4 and 1 3 5; a deviation of sqrt(2 / 3) times 3 in the first."""
    x = torch.tensor([0.0, 5, 3, 5, 6, 5]).view(6, 1, 1, 1).expand(6, 2, 4, 4)
    told = with_deviation(x)
    assert told.shape == (6, 3, 4, 4)
    assert torch.equal(told[:, :2], x)
    assert told[:, 2, 1, 3].tolist() == pytest.approx([6**0.5, 0, 6**0.5, 0, 6**0.5, 0], abs=2e-4)


def test_downsampling_convolution() -> None:
    """Of 8 px, channel by channel: nine smoothed values per side; windows of three start at 0, 2, 4, 6."""
    torch.manual_seed(0)
    convolution, x = EqualConv(3, 2, 3, halves=True), drawn(2, 3, 8, 8)
    kernel = binomial(x.device) / 4
    smooth = torch.cat([F.conv2d(F.pad(x[:, i : i + 1], (2, 2, 2, 2)), kernel) for i in range(3)], dim=1)
    every = F.conv2d(smooth, convolution.weight / 27**0.5, convolution.bias)
    assert convolution(x).shape == (2, 2, 4, 4)
    assert torch.allclose(convolution(x), every[:, :, ::2, ::2], atol=1e-5)


def test_mean_w_and_truncation() -> None:
    made = generator("style")
    set_mean(made, 0)
    w = made.map(made.draw(dice(*range(400)))).detach()
    assert bool(((made.running_mean - w.mean(0)).abs() < 5 * w.std(0) / 400**0.5).all()), "within five standard errors"
    assert float(made.running_mean.norm()) > 10 * float((made.running_mean - w.mean(0)).norm()), "far from 0"
    assert torch.allclose(made.truncated(w, 0.5), 0.5 * (w + made.running_mean), atol=1e-6)
    assert torch.equal(made.truncated(made.spread(w[:8]), 0.0), made.running_mean.expand(8, made.layers, -1))
    plain = generator("dcgan")
    set_mean(plain, 0)
    assert float(plain.running_mean.abs().max()) == 0, "w is z"


def samples_of(kind: str, **differences: Any) -> tuple[Generator, Samples]:
    plain = {"count": 5, "walks": 2, "steps": 3, "truncation": 1.0}
    model = generator(kind)
    if kind == "dcgan":  # its first images are nearly grey
        model.get_parameter("up.6.weight").data.mul_(50)
    model.running_mean.normal_(generator=torch.Generator().manual_seed(5))
    run = Run(seed=3, device="cpu", precision="float32", threads=1, micro_batch=2)
    return model, sampled(model, build(Drawn, plain | differences, "drawn"), run, "toy", "photos")


@pytest.mark.parametrize("kind", KINDS)
def test_sample_depends_on_its_number_only(kind: str) -> None:
    """Independent of the count and of the batch size."""
    model, samples = samples_of(kind)
    found = samples.images
    assert found.shape == (5, SIZE, SIZE, 3)
    assert np.array_equal(samples_of(kind, count=2)[1].images, found[:2])
    draws = [die(3, "drawn", 4)]
    alone = model(model.draw(draws), model.draw_noise(draws))
    assert np.abs(to_uint8(alone)[0].astype(int) - found[4]).max() <= 1
    assert not np.array_equal(found[0], found[1])


@pytest.mark.parametrize("kind", KINDS)
def test_walk_endpoints(kind: str) -> None:
    model, samples = samples_of(kind)
    found = samples.walk
    assert found.shape == (2, 3, SIZE, SIZE, 3)
    for end, place in (("from", 0), ("to", 2)):
        drawn = model(model.draw([die(3, "walk", 1, end)]))
        assert np.abs(to_uint8(drawn)[0].astype(int) - found[1, place]).max() <= 1


def test_walk_interpolation() -> None:
    a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    share = torch.tensor([[0.0], [1 / 3], [1.0]])
    assert torch.allclose(arc(a, b, share), torch.tensor([[2.0, 0], [3**0.5, 1], [0, 2]]), atol=1e-6)
    assert torch.allclose(arc(a, 2 * a, share), torch.tensor([[2.0, 0], [2 + 2 / 3, 0], [4, 0]]), atol=1e-6), "parallel latents"
    model = generator("style")
    z = model.draw([die(0, "a"), die(0, "b")])
    middle = between(model, z[:1], z[1:], 3)[1]
    assert torch.allclose(middle, model.map(z).mean(0), atol=1e-6)


def test_samples_round_trip_and_incomplete_folders(tmp_path: Path) -> None:
    _, samples = samples_of("style")
    write_samples(tmp_path / "toy", samples)
    found = read_samples(tmp_path / "toy")
    assert found.about == samples.about
    assert np.array_equal(found.images, samples.images)
    assert np.array_equal(found.walk, samples.walk)
    card = read_json(tmp_path / "toy/samples.json")
    wanted = {"name": "toy", "kind": "gan", "dataset": "photos", "size": SIZE, "n": 5, "seed": 3, "truncation": 1.0}
    assert card == wanted
    np.save(tmp_path / "toy/images.npy", samples.images[:4])
    with pytest.raises(UserError, match=r"toy is incomplete.*samples.json has 5 of 16 px"):
        read_samples(tmp_path / "toy")
    (tmp_path / "toy/walk.npy").unlink()
    with pytest.raises(UserError, match="run train_gan again"):
        read_samples(tmp_path / "toy")
