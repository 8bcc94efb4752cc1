"""Latent spaces in the loop: start values, costs, perturbation, recovery of a known latent."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from relume.core.errors import UserError
from relume.losses.image import noise_reg
from relume.methods.latent.space import LatentSpace, spaces
from relume.methods.optimise import parametrise
from relume.methods.optimise.optimise import Descent, forward_pass, optimise
from tests.gan_files import KINDS, dice, generator, latent
from tests.inversion_files import SIZE, problem, settings


def plain(space: str, **differences: Any) -> dict[str, Any]:
    return {"kind": "latent", "space": space, "start": "random", "noise": False, **differences}


@pytest.mark.parametrize("kind", KINDS)
def test_code_decodes_to_the_generated_image(kind: str) -> None:
    """All three spaces start with the same images, at the generator's size or another."""
    made = generator(kind)
    grey = torch.zeros(2, 3, 8, 8)
    wanted = made(made.draw(dice(0, 1)))
    for name in ("z", "w", "w_plus"):
        space = LatentSpace(made, latent(name))
        code = space.encode(grey, dice(0, 1))
        assert torch.allclose(space.decode(code, made.size), wanted, atol=1e-6)
        assert space.decode(code, 8).shape == (2, 3, 8, 8)
    assert code.shape == (2, made.layers * made.width)


def test_start_values() -> None:
    made, grey = generator("style"), torch.zeros(2, 3, 8, 8)
    torch.nn.init.normal_(made.running_mean)
    mean = LatentSpace(made, latent("w_plus", start="mean")).encode(grey, dice(0, 1))
    assert torch.equal(mean, made.running_mean.repeat(2, made.layers))
    given = torch.randn(2, made.width, generator=dice(0)[0])
    for name, wanted in (("w", given), ("w_plus", given.repeat(1, made.layers))):
        assert torch.equal(LatentSpace(made, latent(name, start="given"), given).encode(grey, dice(0, 1)), wanted)
    with pytest.raises(ValueError, match="latents of shape"):
        LatentSpace(made, latent("z", start="given"), given).encode(grey, dice(0, 1))
    with pytest.raises(ValueError, match="are missing"):
        LatentSpace(made, latent("w", start="given"))
    with pytest.raises(ValueError, match="given, but start is mean"):
        LatentSpace(made, latent("w", start="mean"), given)
    with pytest.raises(ValueError, match="eval mode"):
        LatentSpace(generator("style").train(), latent("w"))
    with pytest.raises(UserError, match=r"parametrisation.start: mean needs space"):
        latent("z", start="mean")


def test_noise_maps_are_in_the_code_and_normalised() -> None:
    made = generator("style")
    space = LatentSpace(made, latent("w", noise=True))
    code = space.encode(torch.zeros(2, 3, 8, 8), dice(0, 1))
    assert code.shape == (2, made.width + sum(side**2 for side in made.sides))
    assert torch.allclose(space.encode(torch.zeros(1, 3, 8, 8), dice(1)), code[1:], atol=1e-6)
    w, noise = space.parts(code)
    assert torch.equal(space.decode(code, made.size), made.synthesise(w, noise))
    before = w.clone()
    code[:, made.width :] *= 3
    code[:, made.width :] += 1
    space.project(code)
    w, noise = space.parts(code)
    assert torch.equal(w, before)
    for one in noise:
        assert one.mean((1, 2, 3)).tolist() == pytest.approx([0, 0], abs=1e-5)
        assert one.std((1, 2, 3), correction=0).tolist() == pytest.approx([1, 1], abs=1e-4)


def test_noise_reg() -> None:
    """A map of 16 px and its half; vertical stripes correlate with the row below and not with the next column."""
    line = torch.tensor([1.0, 1, -1, -1]).repeat(4)
    stripes = line.view(1, 1, 1, 16).expand(1, 1, 16, 16)
    half = torch.tensor([1.0, -1]).repeat(4).view(1, 1, 1, 8).expand(1, 1, 8, 8)
    assert noise_reg([half]).tolist() == [2.0]
    assert noise_reg([stripes]).tolist() == [1.0 + 2.0]
    assert noise_reg([stripes, half]).tolist() == [5.0]
    noise = torch.randn(2, 1, 16, 16, generator=dice(0)[0])
    assert float(noise_reg([noise]).max()) < 0.1
    assert torch.allclose(noise_reg([noise[1:]]), noise_reg([noise])[1:])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("space", ["z", "w", "w_plus"])
def test_generated_image_is_recovered(default_params: dict[str, Any], kind: str, space: str) -> None:
    made = generator(kind, 8)
    with torch.no_grad():
        pictures = parametrise.grow(made(made.draw(dice(10, 11))), SIZE)
    own = {"optimiser": {"rule": "adam", "learning_rate": [[0, 0.1]]}, "trace_every": 50}
    config = settings(default_params, parametrisation=plain(space), steps=100, **own)
    given = replace(problem(config, losses={"pixel": 1.0}, originals=pictures), space=spaces(made.requires_grad_(False)))
    first = LatentSpace(made, latent(space))
    start = first.decode(
        first.encode(pictures, [torch.Generator().manual_seed(one.initial_seed()) for one in given.generators]), SIZE
    )
    before = (start - pictures).square().mean((1, 2, 3))
    after = optimise(given, config, lambda report: None).objective
    assert bool((after < 0.2 * before).all())


@pytest.mark.parametrize("name", ["z", "w", "w_plus"])
def test_latent_costs(name: str) -> None:
    made = generator("style")
    space = LatentSpace(made, latent(name, noise=True, noise_reg=2.0))
    code = space.encode(torch.zeros(4, 3, 8, 8), dice(*range(4)))
    ((key, (weight, values)),) = space.costs(code).items()
    assert (key, weight) == ("noise_reg", 2.0)
    assert torch.equal(values, noise_reg(space.parts(code)[1]))
    assert LatentSpace(made, latent(name)).costs(code[:, : space.parts(code)[0][0].numel()]) == {}


def test_latent_perturbation_decays() -> None:
    made = generator("style")
    space = LatentSpace(made, latent("w", noise=True, w_noise=0.1, shake_until=0.5))
    code = space.encode(torch.zeros(2, 3, 8, 8), dice(0, 1))
    moved = [space.perturbed(code, progress, dice(7, 8)) - code for progress in (0.0, 0.25, 0.5, 0.9)]
    drawn = torch.stack([torch.randn(made.width, generator=one) for one in dice(7, 8)])
    assert torch.allclose(moved[0][:, : made.width], 0.1 * space.spread * drawn, atol=1e-6)
    assert torch.allclose(moved[1], moved[0] / 4, atol=1e-6)
    assert [float(one[:, made.width :].abs().max()) for one in moved] == [0.0] * 4
    assert [float(one.abs().max()) for one in moved[2:]] == [0.0, 0.0]


@pytest.mark.parametrize("kind", KINDS)
def test_pivotal_weights_are_per_row(kind: str) -> None:
    """Changed weights of a row do not change other rows."""
    made = generator(kind).requires_grad_(False)
    space, bare = (LatentSpace(made, latent("w", noise=True, pivotal=share)) for share in (0.5, None))
    grey = torch.zeros(2, 3, 8, 8)
    code = space.encode(grey, dice(0, 1))
    before = space.decode(code, made.size)
    assert torch.allclose(before, bare.decode(bare.encode(grey, dice(0, 1)), made.size), atol=1e-6)
    code[1, -space.lengths[2] :] += 0.1
    after = space.decode(code, made.size)
    assert torch.allclose(after[0], before[0], atol=1e-6)
    assert not torch.allclose(after[1], before[1], atol=1e-3)


def test_latent_and_noise_are_fixed_after_the_pivot(default_params: dict[str, Any]) -> None:
    """Without the reset, Adam's momentum would move them."""
    own = {"parametrisation": plain("w", noise=True, pivotal=0.5), "steps": 12}
    config = settings(default_params, **own, optimiser={"rule": "adam", "learning_rate": [[0, 0.1]]})
    given = replace(problem(config, losses={"pixel": 1.0}), space=spaces(generator("style").requires_grad_(False)))
    descent, codes = Descent(given, config), []
    with forward_pass(given) as look:
        for _ in range(config.steps):
            descent.advance(look, lambda report: None)
            codes.append(descent.code.detach().clone().split(descent.space.lengths, dim=1))  # type: ignore[attr-defined]
    moved = [[not torch.allclose(a, b, atol=1e-5) for a, b in zip(*pair, strict=True)] for pair in pairwise(codes)]
    assert moved[:5] == [[True, True, False]] * 5
    assert moved[5:] == [[False, False, True]] * 6
