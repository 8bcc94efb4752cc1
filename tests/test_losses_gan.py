"""The duels' losses by hand; KID against evaluation's own."""

import pytest
import torch

from relume.evaluation import sets
from relume.losses import gan
from relume.losses.kernel import kid


def test_least_squares_by_hand() -> None:
    real, fake, past = torch.tensor([0.9, 0.0]), torch.tensor([0.0, 1.0]), torch.tensor([0.0, 2.0])
    assert gan.lsgan_discriminator(real, fake, past, 0.9).tolist() == pytest.approx([0.0, 0.81 + 0.5 * (1 + 4)])
    assert gan.least_squares(fake, 0.9).tolist() == pytest.approx([0.81, 0.01])


def test_logistic_by_hand() -> None:
    real, fake = torch.tensor([0.0, 50.0, -50.0]), torch.tensor([0.0, -50.0, 50.0])
    two = torch.tensor(2.0).log().item()
    assert gan.logistic_discriminator(real, fake).tolist() == pytest.approx([2 * two, 0, 100], abs=1e-6)
    assert gan.logistic_generator(fake).tolist() == pytest.approx([two, 50, 0], abs=1e-6)


def test_steepness_by_hand() -> None:
    """A score of 3 times a pixel of [0, 1] has slope 1.5 where colours go from -1 to 1; it can be differentiated on."""
    pictures = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    gradient = torch.tensor(3.0, requires_grad=True)
    found = gan.gradient_penalty(gradient * pictures[:, 0, 1, 1] * torch.tensor([1.0, 2.0]), pictures)
    assert found.tolist() == pytest.approx([2.25, 9.0])
    (second,) = torch.autograd.grad(found.sum(), [gradient])
    assert second.item() == pytest.approx(0.5 * 3 * (1 + 4))


def test_kid_is_evaluations_own() -> None:
    draws = torch.Generator().manual_seed(0)
    x, y = torch.randn(7, 5, generator=draws), 1 + torch.randn(9, 5, generator=draws)
    assert kid(x, y) == pytest.approx(sets.kid(x, y), rel=1e-9)
    assert kid(x, y) > kid(x, x[torch.randperm(7, generator=draws)])
