"""Loss functions: values by hand, finite gradients at constant images, steps that lower them; aggregates and ReLU policies."""

import numpy as np
import pytest
import torch
from torch import Tensor

from relume.losses import feature, gan, image
from relume.losses.config import ForeignTerm
from relume.losses.feature import DISTANCES, batchnorm
from relume.losses.foreign import AGGREGATES, POLICIES, foreign
from relume.losses.gan import kid
from relume.losses.objective import Known, Objective, Term
from relume.losses.perceptual import ssim
from tests import evaluation_files as evaluation

X = torch.tensor([[3.0, 4.0], [1.0, 0.0]])
Y = torch.tensor([[0.0, 4.0], [0.0, 2.0]])


@pytest.mark.parametrize(
    ("distance", "answer"),
    [("mse", [9, 5]), ("dim_mse", [4.5, 2.5]), ("relative_l2", [9 / 16, 5 / 4]), ("cosine", [1 - 16 / 20, 1])],
)
def test_distances(distance: str, answer: list[float]) -> None:
    assert feature.DISTANCES[distance](X, Y).tolist() == pytest.approx(answer)


def test_weighted_taps_and_cosine() -> None:
    assert feature.cosine(X, 5 * X).tolist() == pytest.approx([0, 0], abs=1e-6)
    assert feature.cosine(X, -X)[0].item() == pytest.approx(2)
    values, targets = {"a": X, "b": Y}, {"a": Y, "b": Y}
    assert feature.weighted("mse", values, targets, {"a": 3, "b": 1}).tolist() == pytest.approx([9 * 0.75, 5 * 0.75])


def test_priors() -> None:
    """A ramp of 0.1 stays below the threshold of 0.3. Columns 0, 1, 0, …: mean |dx| is 1, mean |dy| is 0."""
    ramp = (torch.arange(8) * 0.1).expand(1, 3, 8, 8)
    assert (image.tv(ramp, 2).item(), image.tv(ramp, 1).item()) == pytest.approx((0.01, 0.1), rel=1e-2)
    both = torch.cat([(torch.arange(8) % 2).float().expand(1, 3, 8, 8), ramp.transpose(2, 3)])
    assert image.tv_linear(both).tolist() == pytest.approx([1, 0.1])
    assert image.tv_squared_relu(both).tolist() == pytest.approx([0.7 + 10 * 0.49, 0])
    assert batchnorm(torch.tensor([[1.0, 2.0, 6.0], [0.0, 0.0, 0.0]])).tolist() == [3, 0]
    grey, white = torch.full((1, 3, 4, 4), 0.5), torch.ones(1, 3, 4, 4)
    assert image.alpha_norm(torch.cat([grey, white]), 6).tolist() == [0, 1]
    assert image.pixel(grey, white).item() == 0.25


def test_objective_is_a_weighted_sum() -> None:
    mean = Term(name="a", weight=2.0, value=lambda state: state.images.mean((1, 2, 3)), needs={"net": ("conv1", "conv2")})
    total = Term(name="b", weight=0.5, value=lambda state: state.images.sum((1, 2, 3)), needs={"net": ("conv2",)}, oracle=True)
    goal = Objective((mean, total))
    assert goal.needs == {"net": ("conv1", "conv2")}
    assert goal.oracle
    whole, values = goal(torch.ones(1, 3, 2, 2), {}, Known(targets={}))
    assert {name: value.item() for name, value in values.items()} == {"a": 1, "b": 12}
    assert whole.item() == 8


def test_adversarial_losses_and_kid() -> None:
    real, fake, past = torch.tensor([0.9, 0.0]), torch.tensor([0.0, 1.0]), torch.tensor([0.0, 2.0])
    assert gan.lsgan_discriminator(real, fake, past, 0.9).tolist() == pytest.approx([0.0, 0.81 + 0.5 * (1 + 4)])
    assert gan.least_squares(fake, 0.9).tolist() == pytest.approx([0.81, 0.01])
    real, fake = torch.tensor([0.0, 50.0, -50.0]), torch.tensor([0.0, -50.0, 50.0])
    two = torch.tensor(2.0).log().item()
    assert gan.logistic_discriminator(real, fake).tolist() == pytest.approx([2 * two, 0, 100], abs=1e-6)
    assert gan.logistic_generator(fake).tolist() == pytest.approx([two, 50, 0], abs=1e-6)
    # A score of 3 times a pixel of [0, 1] has slope 1.5 where colours go from -1 to 1; it is differentiable twice
    pictures = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    gradient = torch.tensor(3.0, requires_grad=True)
    found = gan.gradient_penalty(gradient * pictures[:, 0, 1, 1] * torch.tensor([1.0, 2.0]), pictures)
    assert found.tolist() == pytest.approx([2.25, 9.0])
    (second,) = torch.autograd.grad(found.sum(), [gradient])
    assert second.item() == pytest.approx(0.5 * 3 * (1 + 4))
    draws = torch.Generator().manual_seed(0)
    x, y = torch.randn(7, 5, generator=draws), 1 + torch.randn(9, 5, generator=draws)
    assert kid(x, y) == pytest.approx(evaluation.kid(x, y), rel=1e-9)
    assert kid(x, y) > kid(x, x[torch.randperm(7, generator=draws)])


def pictures(seed: int, count: int = 2, side: int = 16) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def test_ssim_equals_scikit_image() -> None:
    flat = torch.full((1, 3, 12, 12), 0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(ssim(flat, torch.full_like(flat, 0.5), (7, 11)).sum(), [flat])
    assert gradient.isfinite().all()
    x, y = pictures(0, 3), pictures(1, 3)
    assert ssim(x, x, (7, 11)).tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    together = ssim(x, y, (7,))
    assert together.shape == (3,)
    torch.testing.assert_close(together, torch.cat([ssim(x[i : i + 1], y[i : i + 1], (7,)) for i in range(3)]))
    x, y = pictures(0), pictures(1)
    torch.testing.assert_close(ssim(x, y, (7, 11)), (ssim(x, y, (7,)) + ssim(x, y, (11,))) / 2)
    with pytest.raises(ValueError, match="ssim: .*11.* 8 px"):
        ssim(pictures(0, side=8), pictures(1, side=8), (7, 11))
    from skimage.metrics import structural_similarity

    x = pictures(0)
    y = (x + 0.2 * pictures(1)).clamp(0, 1)
    found = ssim(x, y, (11,))
    for row, (one, other) in enumerate(zip(x.numpy(), y.numpy(), strict=True)):
        _, values = structural_similarity(
            *(one.astype(np.float64), other.astype(np.float64)),
            **{"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False},
            **{"data_range": 1.0, "channel_axis": 0, "full": True},
        )
        assert found[row].item() == pytest.approx(1 - values[:, 5:-5, 5:-5].mean(), abs=1e-5)  # valid positions only


ONE = torch.tensor([[[0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [9.0, 1.0]]])  # one image, four reconstructions, two features


def embeddings(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("aggregate", "centre"),
    [("mean", [3, 1]), ("median", [1.5, 1]), ("trimmed_mean", [1.5, 1]), ("cluster", [1, 1]), ("agreement", [3, 1])],
)
def test_aggregate_centres(aggregate: str, centre: list[float]):
    """Distances are 1, 2, 9, 1, 8, 7: below their median of 4.5 the first and the third are close to the second."""
    found, weight = AGGREGATES[aggregate](ONE)
    assert found[0].tolist() == pytest.approx(centre)
    assert weight.mean().item() == pytest.approx(1)


def test_cluster_and_agreement() -> None:
    """Six lie near 0 and two near 10: at least half of the pairs are close, so the median distance is inside a cluster."""
    values = torch.tensor([0.0, 10.0, 0.0, 0.0, 0.0, 10.0, 0.0, 0.0])[None, :, None] + 0.01 * embeddings(0, 1, 8, 3)
    assert AGGREGATES["mean"](values)[0].mean().item() == pytest.approx(2.5, abs=0.05)
    assert AGGREGATES["cluster"](values)[0].abs().max().item() < 0.05
    # variances 12.5 and 0: relative ones 2 and 0, weights 1 / 2.1 and 1 / 0.1 before normalisation to mean 1
    _, weight = AGGREGATES["agreement"](ONE)
    raw = torch.tensor([1 / 2.1, 1 / 0.1])
    torch.testing.assert_close(weight[0], raw / raw.mean())


@pytest.mark.parametrize("m", [1, 2, 3, 8])
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_aggregates_ignore_order_and_other_rows(aggregate: str, m: int):
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
def test_relu_policies(policy: str, x: list[float], y: list[float]):
    values, centre = torch.tensor([[-1.0, 2.0, -3.0, 4.0]]), torch.tensor([[5.0, -6.0, -7.0, 8.0]])
    assert [side[0].tolist() for side in POLICIES[policy](values, centre)] == [x, y]
    own = ForeignTerm(networks={"vgg16_conv": {"pool": 1.0}}, distance="mse", aggregate="mean", policy=policy)  # type: ignore[arg-type]
    assert own.looks_at("pool") == ("pool" if policy == "as_is" else "pool_pre")


def test_foreign_distance_and_smart_gradients() -> None:
    gradients = {}
    for policy in ("smart", "relu_after"):
        values = torch.tensor([[-1.0]], requires_grad=True)
        x, y = POLICIES[policy](values, torch.tensor([[2.0]]))
        (gradients[policy],) = torch.autograd.grad((x - y).square().sum(), [values])
    assert gradients["smart"].item() == -6
    assert gradients["relu_after"].item() == 0
    values = ONE.transpose(0, 1)  # each of the four, (4, 1, 2)
    others = ONE.expand(4, 4, 2)
    assert foreign("mse", "as_is", "mean", values, others).tolist() == pytest.approx([9, 4, 1, 36])
    weight = (1 / 2.1) / ((1 / 2.1 + 1 / 0.1) / 2)  # of the feature with variance
    found = foreign("mse", "as_is", "agreement", values, others).tolist()
    assert found == pytest.approx([9 * weight, 4 * weight, weight, 36 * weight])


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_foreign_maps_are_flattened_and_others_detached(aggregate: str, distance: str, policy: str):
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
