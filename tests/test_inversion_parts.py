"""The nouns of an inversion one by one: parametrisations, views, schedules, recipes."""

import pytest
import torch

from relume.core.errors import UserError
from relume.inversion import parametrise, schedules
from relume.inversion.config import Fourier, Optimiser, Pixels, Views, merge, variation
from relume.inversion.views import jitter

PARAMETRISATIONS = [
    Pixels(kind="pixels", box="projection"),
    Pixels(kind="pixels", box="sigmoid"),
    Fourier(kind="fourier", decay=1.0),
    Fourier(kind="fourier", decay=0.0),
]


def pictures(count: int = 2, size: int = 16) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0)) * 0.9 + 0.05


@pytest.mark.parametrize("config", PARAMETRISATIONS)
@pytest.mark.parametrize("size", [16, 17])
def test_decoding_undoes_encoding(config: Pixels | Fourier, size: int) -> None:
    image = parametrise.build(config)
    images = pictures(size=size)
    assert torch.allclose(image.decode(image.encode(images), size), images, atol=2e-5)


@pytest.mark.parametrize("config", PARAMETRISATIONS)
def test_pictures_stay_in_the_box_and_rows_do_not_touch(config: Pixels | Fourier) -> None:
    image = parametrise.build(config)
    code = image.encode(pictures()).requires_grad_()
    with torch.no_grad():
        code[0] += 3 * torch.randn(code.shape[1:], generator=torch.Generator().manual_seed(1))
        image.project(code)
    decoded = image.decode(code, 16)
    assert decoded.min() >= 0
    assert decoded.max() <= 1
    assert torch.allclose(decoded[1], pictures()[1], atol=2e-5)
    (slope,) = torch.autograd.grad(decoded[0].sum(), [code])
    assert slope[1].abs().max() == 0


def test_a_fourier_step_moves_low_frequencies_most() -> None:
    """Equal gradients in the code are smooth changes of the picture: what cures noise and wrong colours."""
    image = parametrise.build(Fourier(kind="fourier", decay=1.0))
    code = image.encode(torch.full((1, 3, 32, 32), 0.5))
    noise = torch.randn(code.shape, generator=torch.Generator().manual_seed(0))
    spectrum = torch.fft.rfft2(image.decode(code + noise, 32).mean(1)).abs()[0]
    assert spectrum[1:4, 1:4].mean() > 3 * spectrum[12:16, 12:16].mean()


def test_growing_keeps_constant_pictures_and_the_box() -> None:
    assert torch.allclose(parametrise.grow(torch.full((1, 3, 8, 8), 0.25), 16), torch.full((1, 3, 16, 16), 0.25))
    grown = parametrise.grow(torch.randint(0, 2, (1, 3, 8, 8)).float(), 20)
    assert grown.shape == (1, 3, 20, 20)
    assert grown.min() >= 0
    assert grown.max() <= 1


def test_jitter_is_drawn_per_sample_from_its_own_generator() -> None:
    def view(seeds: list[int]) -> torch.Tensor:
        return jitter(pictures(len(seeds)), Views(jitter=4), [torch.Generator().manual_seed(seed) for seed in seeds])

    both, first = view([1, 2]), view([1])
    assert torch.equal(both[0], first[0])
    assert torch.allclose(both.sort(dim=-1).values.sum(), pictures().sum())
    images = pictures()
    assert jitter(images, Views(jitter=0), []) is images


def optimiser(**changes: object) -> Optimiser:
    plain = {
        "rule": "adam",
        "normalise_gradient": False,
        "learning_rate": ((0, 1.0), (10, 0.5)),
        "warmup": 0,
        "cosine": False,
    }
    return Optimiser(**{**plain, **changes})  # type: ignore[arg-type]


def test_schedules_hold_until_the_next_step() -> None:
    assert [schedules.at(((0, 32), (4, 64)), step) for step in (0, 3, 4, 99)] == [32, 32, 64, 64]
    assert [schedules.learning_rate(optimiser(), step, 20) for step in (0, 9, 10)] == [1.0, 1.0, 0.5]
    assert schedules.learning_rate(optimiser(warmup=4), 0, 20) == 0.25
    assert schedules.learning_rate(optimiser(cosine=True), 10, 20) == pytest.approx(0.25)


def test_a_schedule_that_does_not_begin_at_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="from step 0 on"):
        optimiser(learning_rate=((5, 1.0),))


def test_recipes_merge_maps_but_replace_taps_and_other_kinds() -> None:
    base = {
        "taps": {"conv3": 1},
        "terms": {"tv": {"exponent": 2}, "feature": {"distance": "mse"}},
        "parametrisation": {"kind": "fourier", "decay": 1},
    }
    own = {
        "taps": {"conv5": 1},
        "terms": {"tv": {"exponent": 1}},
        "parametrisation": {"kind": "pixels", "box": "sigmoid"},
    }
    assert merge(base, own) == {
        "taps": {"conv5": 1},
        "terms": {"tv": {"exponent": 1}, "feature": {"distance": "mse"}},
        "parametrisation": {"kind": "pixels", "box": "sigmoid"},
    }


def test_a_recipe_with_an_unknown_key_is_named(default_params: dict) -> None:  # type: ignore[type-arg]
    with pytest.raises(UserError, match=r"recipes\.x\.stepz: unknown key; did you mean 'steps'"):
        variation(default_params["invert_optimise"], {"start": "a", "stepz": 3}, "recipes.x")
