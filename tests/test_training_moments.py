"""A generator that learns without a discriminator: the distance by hand, what it tells apart, kills, faults by name."""

import pytest
import torch

from relume.data.store import Dataset
from relume.losses.kernel import WIDTHS, discrepancy
from relume.methods.gan.moments import grain
from tests.gan_files import dice, trainer
from tests.training_files import MOMENTS

PLAIN = {"network": "alexnet_conv", "tap": "conv1"}


def test_the_distance_by_hand() -> None:
    """Two numbers each; k(a, b) = mean of (1 + |a - b|^2 / (2 width))^-1/2."""
    x, y = torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]])

    def k(squared: float) -> float:
        return sum((1 + squared / 2 / width) ** -0.5 for width in WIDTHS) / len(WIDTHS)

    first = k(2) - 2 / 3 * (k(0) + k(4) + k(16))
    second = k(2) - 2 / 3 * (k(2) + k(2) + k(10))
    assert discrepancy(x, y).tolist() == pytest.approx([first, second], rel=1e-5)


def test_grain_by_hand() -> None:
    """Rows 0 and 1 in turn in the first colour; the others even."""
    picture = torch.full((1, 3, 4, 4), 0.5)
    picture[:, 0] = torch.tensor([0.0, 1, 0, 1])[:, None]
    assert grain(picture)[0].tolist() == pytest.approx([1 / 3, 0, 0.5, 0.5, 0.5, 0.5001**0.5 * 0.5**0.5, 0.01, 0.01], abs=1e-3)


def test_true_pictures_are_nearer_than_others(data: Dataset) -> None:
    reference = trainer(data, "style", objective=MOMENTS, metric_network=PLAIN).reference
    assert reference is not None
    true = data.pixels(data.select("train")[:4])
    far = torch.rand(true.shape, generator=dice(1)[0])
    assert float(reference(true).mean()) < float(reference(far).mean()) - 0.1
    assert all(one.shape[0] == 8 for one in reference.true), "four, and their mirror images"
    assert all(float(one.mean(0).abs().max()) < 1e-3 for one in reference.true)
