"""LPIPS by hand; `test_evaluation_pixel.py` holds it against its own package."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from relume.losses.perceptual import heads_of, lpips
from relume.networks.fetch import fetch_weights
from relume.networks.weights import WeightStore


def axis(channel: int, channels: int = 3, side: int = 2) -> Tensor:
    """Every position's feature vector is the axis `channel`."""
    x = torch.zeros(1, channels, side, side)
    x[:, channel] = 1
    return x


def test_orthogonal_features_differ_by_the_sum_of_their_two_weights():
    heads = [torch.tensor([0.5, 0.25, 7.0]), torch.tensor([1.0, 2.0, 4.0])]
    x, y = [axis(0), 5 * axis(2)], [3 * axis(1), axis(1)]  # lengths do not count
    assert lpips(x, y, heads).item() == pytest.approx(0.5 + 0.25 + 4.0 + 2.0)


def test_it_is_symmetric_zero_at_home_and_knows_no_neighbours():
    draws, shapes = torch.Generator().manual_seed(0), [(3, 4, 5, 5), (3, 6, 2, 2)]
    x, y = ([torch.randn(shape, generator=draws) for shape in shapes] for _ in range(2))
    heads = [torch.rand(shape[1], generator=draws) for shape in shapes]
    assert torch.equal(lpips(x, x, heads), torch.zeros(3))
    assert torch.allclose(lpips(x, y, heads), lpips(y, x, heads))
    turned = [2, 0, 1]
    assert torch.allclose(lpips([v[turned] for v in x], [v[turned] for v in y], heads), lpips(x, y, heads)[turned])


def test_dead_positions_have_a_finite_gradient():
    x = torch.zeros(1, 4, 3, 3, requires_grad=True)
    lpips([x], [torch.rand(1, 4, 3, 3)], [torch.ones(4)]).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("heads", [[], [torch.ones(3)] * 2, [torch.ones(4)]])
def test_heads_that_do_not_fit_are_refused(heads: list[Tensor]):
    with pytest.raises(ValueError, match="lpips"):
        lpips([axis(0)], [axis(1)], heads)


def test_heads_that_are_not_whole_are_refused(tmp_path: Path):
    fetch_weights("lpips_alex", tmp_path)
    tensors = WeightStore(tmp_path).tensors("lpips_alex")
    assert [head.shape for head in heads_of("alex", tensors)] == [(64,), (192,), (384,), (256,), (256,)]
    with pytest.raises(ValueError, match="5 heads"):
        heads_of("alex", {"lin0": tensors["lin0"]})
