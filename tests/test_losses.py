"""Every term: known answers worked out by hand, finite gradients at constant pictures, a descent step that lowers it."""

import math

import pytest
import torch

from relume.losses import feature, image
from relume.losses.config import Losses
from relume.losses.feature import batchnorm
from relume.losses.objective import Known, Objective, Term

X = torch.tensor([[3.0, 4.0], [1.0, 0.0]])
Y = torch.tensor([[0.0, 4.0], [0.0, 2.0]])


@pytest.mark.parametrize(
    ("distance", "answer"),
    [("mse", [9, 5]), ("dim_mse", [4.5, 2.5]), ("relative_l2", [9 / 16, 5 / 4]), ("cosine", [1 - 16 / 20, 1])],
)
def test_distances_by_hand(distance: str, answer: list[float]) -> None:
    assert feature.DISTANCES[distance](X, Y).tolist() == pytest.approx(answer)


@pytest.mark.parametrize("distance", sorted(feature.DISTANCES))
def test_distances_vanish_where_features_agree_and_have_finite_gradients_at_zero(distance: str) -> None:
    function = feature.DISTANCES[distance]
    assert function(X, X).tolist() == pytest.approx([0, 0], abs=1e-6)
    x = torch.zeros(2, 3, 4, 4, requires_grad=True)
    for target in (torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4)):
        (gradient,) = torch.autograd.grad(function(x, target).sum(), [x])
        assert torch.isfinite(gradient).all()


def test_several_taps_are_a_weighted_mean() -> None:
    values, targets = {"a": X, "b": Y}, {"a": Y, "b": Y}
    assert feature.weighted("mse", values, targets, {"a": 3, "b": 1}).tolist() == pytest.approx([9 * 0.75, 5 * 0.75])


def test_tv_of_a_ramp() -> None:
    """Every pixel differs by 0.1 from its right neighbour and not from the one below."""
    ramp = (torch.arange(8) * 0.1).expand(1, 3, 8, 8)
    assert image.tv(ramp, 2).item() == pytest.approx(0.01)
    assert image.tv(ramp, 1).item() == pytest.approx(0.1, rel=1e-2)


def test_tv_of_s0_by_hand() -> None:
    """Columns 0, 1, 0, …: mean |dx| is 1, mean |dy| is 0. A ramp of 0.1 stays under the threshold of 0.3."""
    stripes = (torch.arange(8) % 2).float().expand(1, 3, 8, 8)
    ramp = (torch.arange(8) * 0.1).expand(1, 3, 8, 8).transpose(2, 3)
    both = torch.cat([stripes, ramp])
    assert image.tv_linear(both).tolist() == pytest.approx([1, 0.1])
    assert image.tv_squared_relu(both).tolist() == pytest.approx([0.7 + 10 * 0.49, 0])


def test_batchnorm_is_the_mean_over_layers() -> None:
    assert batchnorm(torch.tensor([[1.0, 2.0, 6.0], [0.0, 0.0, 0.0]])).tolist() == [3, 0]


def test_alpha_norm_and_pixel_by_hand() -> None:
    grey, white = torch.full((1, 3, 4, 4), 0.5), torch.ones(1, 3, 4, 4)
    assert image.alpha_norm(torch.cat([grey, white]), 6).tolist() == [0, 1]
    assert image.pixel(grey, white).item() == 0.25


@pytest.mark.parametrize(
    "term",
    [
        lambda x: image.tv(x, 1),
        lambda x: image.tv(x, 2),
        image.tv_linear,
        image.tv_squared_relu,
        lambda x: image.alpha_norm(x, 6),
    ],
)
def test_priors_have_finite_gradients_at_constant_pictures_and_steps_lower_them(term) -> None:  # type: ignore[no-untyped-def]
    flat = torch.full((1, 3, 8, 8), 0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(term(flat).sum(), [flat])
    assert torch.isfinite(gradient).all()
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    values = []
    for _ in range(6):
        x.requires_grad_()
        value = term(x)
        (gradient,) = torch.autograd.grad(value.sum(), [x])
        values.append(value.detach())
        x = (x - 0.5 * gradient).detach()
    assert (values[-1] < values[0]).all()


def test_terms_of_weight_0_do_not_exist() -> None:
    assert Losses(tv=2.0, feature=1.0, lpips=0.0).active == {"feature": 1.0, "tv": 2.0}


def test_an_objective_adds_its_terms_logs_them_unweighted_and_asks_for_each_tap_once() -> None:
    terms = (
        Term(name="a", weight=2.0, value=lambda state: state.images.mean((1, 2, 3)), needs={"net": ("conv1", "conv2")}),
        Term(name="b", weight=0.5, value=lambda state: state.images.sum((1, 2, 3)), needs={"net": ("conv2",)}, oracle=True),
    )
    goal = Objective(terms)
    assert goal.needs == {"net": ("conv1", "conv2")}
    assert goal.oracle
    total, values = goal(torch.ones(1, 3, 2, 2), {}, Known(targets={}))
    assert {name: value.item() for name, value in values.items()} == {"a": 1, "b": 12}
    assert total.item() == 8


def test_cosine_ignores_length() -> None:
    assert feature.cosine(X, 5 * X).tolist() == pytest.approx([0, 0], abs=1e-6)
    assert math.isclose(feature.cosine(X, -X)[0].item(), 2, rel_tol=1e-6)
