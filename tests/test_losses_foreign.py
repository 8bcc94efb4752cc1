"""Aggregated embeddings and ReLU policies: answers by hand, every registered name, and what holds for all of them."""

import pytest
import torch
from torch import Tensor

from relume.losses.config import ForeignTerm
from relume.losses.feature import DISTANCES
from relume.losses.foreign import AGGREGATES, POLICIES, foreign, sides

ONE = torch.tensor([[[0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [9.0, 1.0]]])  # one picture, four reconstructions, two coordinates


def embeddings(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("aggregate", "centre"),
    [("mean", [3, 1]), ("median", [1.5, 1]), ("trimmed_mean", [1.5, 1]), ("cluster", [1, 1]), ("agreement", [3, 1])],
)
def test_centres_by_hand(aggregate: str, centre: list[float]):
    """Distances are 1, 2, 9, 1, 8, 7: under their median of 4.5 the second has the first and the third as close neighbours."""
    found, weight = AGGREGATES[aggregate](ONE)
    assert found[0].tolist() == pytest.approx(centre)
    assert weight.mean().item() == pytest.approx(1)


def test_clusters_win_over_means_and_agreement_weighs_by_variance() -> None:
    """Six lie near 0 and two near 10: at least half of the pairs are close, so the median distance is one within a cluster."""
    values = torch.tensor([0.0, 10.0, 0.0, 0.0, 0.0, 10.0, 0.0, 0.0])[None, :, None] + 0.01 * embeddings(0, 1, 8, 3)
    assert AGGREGATES["mean"](values)[0].mean().item() == pytest.approx(2.5, abs=0.05)
    assert AGGREGATES["cluster"](values)[0].abs().max().item() < 0.05
    # variances 12.5 and 0: relative ones 2 and 0, weights 1 / 2.1 and 1 / 0.1 before they are brought to mean 1
    _, weight = AGGREGATES["agreement"](ONE)
    raw = torch.tensor([1 / 2.1, 1 / 0.1])
    torch.testing.assert_close(weight[0], raw / raw.mean())


@pytest.mark.parametrize("m", [1, 2, 3, 8])
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_order_and_neighbouring_pictures_do_not_matter(aggregate: str, m: int):
    values = embeddings(1, 4, m, 6)
    centre, weight = AGGREGATES[aggregate](values)
    assert centre.shape == weight.shape == (4, 6)
    torch.testing.assert_close(weight.mean(1), torch.ones(4))
    for found, wanted in zip(AGGREGATES[aggregate](values.flip(1)), (centre, weight), strict=True):
        torch.testing.assert_close(found, wanted)
    for found, wanted in zip(AGGREGATES[aggregate](values[2:3]), (centre, weight), strict=True):
        torch.testing.assert_close(found, wanted[2:3])
    equal = values[:, :1].expand(-1, m, -1)
    torch.testing.assert_close(AGGREGATES[aggregate](equal), (values[:, 0], torch.ones(4, 6)))


@pytest.mark.parametrize(
    ("policy", "x", "y"),
    [
        ("as_is", [-1, 2, -3, 4], [5, -6, -7, 8]),
        ("no_relu", [-1, 2, -3, 4], [5, -6, -7, 8]),
        ("relu_after", [0, 2, 0, 4], [5, 0, 0, 8]),
        ("smart", [-1, 2, 0, 4], [5, 0, 0, 8]),
    ],
)
def test_policies_by_hand(policy: str, x: list[float], y: list[float]):
    values, centre = torch.tensor([[-1.0, 2.0, -3.0, 4.0]]), torch.tensor([[5.0, -6.0, -7.0, 8.0]])
    assert [side[0].tolist() for side in sides(policy, values, centre)] == [x, y]
    own = ForeignTerm(networks={"vgg16_conv": {"pool": 1.0}}, distance="mse", aggregate="mean", policy=policy)  # type: ignore[arg-type]
    assert own.looks_at("pool") == ("pool" if policy == "as_is" else "pool_pre")


def test_distances_by_hand_and_dead_units_under_smart() -> None:
    gradients = {}
    for policy in ("smart", "relu_after"):
        values = torch.tensor([[-1.0]], requires_grad=True)
        x, y = sides(policy, values, torch.tensor([[2.0]]))
        (gradients[policy],) = torch.autograd.grad((x - y).square().sum(), [values])
    assert gradients["smart"].item() == -6
    assert gradients["relu_after"].item() == 0
    values = ONE.transpose(0, 1)  # each of the four, (4, 1, 2)
    others = ONE.expand(4, 4, 2)
    assert foreign("mse", "as_is", "mean", values, others).tolist() == pytest.approx([9, 4, 1, 36])
    weight = (1 / 2.1) / ((1 / 2.1 + 1 / 0.1) / 2)  # of the coordinate that they do not agree on
    found = foreign("mse", "as_is", "agreement", values, others).tolist()
    assert found == pytest.approx([9 * weight, 4 * weight, weight, 36 * weight])


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_maps_are_flattened_and_others_are_a_fixed_target(aggregate: str, distance: str, policy: str):
    others = embeddings(2, 3, 4, 2, 2, 2).requires_grad_()
    values = others[:, 0].detach().clone().requires_grad_()
    found = foreign(distance, policy, aggregate, values, others)
    assert found.shape == (3,)
    flat = foreign(distance, policy, aggregate, values.flatten(1), others.flatten(2))
    assert torch.equal(found, flat)
    found.sum().backward()
    assert others.grad is None
    values = torch.zeros(2, 5, requires_grad=True)
    (gradient,) = torch.autograd.grad(foreign(distance, policy, aggregate, values, torch.zeros(2, 3, 5)).sum(), [values])
    assert gradient.isfinite().all()
