"""SSIM as a loss: by hand where pictures are constant, against scikit-image where they are not."""

import numpy as np
import pytest
import torch
from torch import Tensor

from relume.losses.perceptual import ssim


def pictures(seed: int, count: int = 2, side: int = 16) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def test_it_is_zero_at_home_and_rows_do_not_touch():
    x, y = pictures(0, 3), pictures(1, 3)
    assert ssim(x, x, (7, 11)).tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    together = ssim(x, y, (7,))
    assert together.shape == (3,)
    torch.testing.assert_close(together, torch.cat([ssim(x[i : i + 1], y[i : i + 1], (7,)) for i in range(3)]))


def test_several_windows_are_a_mean_and_one_that_does_not_fit_is_refused():
    x, y = pictures(0), pictures(1)
    torch.testing.assert_close(ssim(x, y, (7, 11)), (ssim(x, y, (7,)) + ssim(x, y, (11,))) / 2)
    with pytest.raises(ValueError, match="ssim: .*11.* 8 px"):
        ssim(pictures(0, side=8), pictures(1, side=8), (7, 11))


def test_eleven_pixels_agree_with_scikit_image():
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
        assert found[row].item() == pytest.approx(1 - values[:, 5:-5, 5:-5].mean(), abs=1e-5)  # valid positions alone


@pytest.mark.parametrize("target", [0.0, 0.5])
def test_gradients_are_finite_at_constant_pictures(target: float):
    x = torch.full((1, 3, 12, 12), 0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(ssim(x, torch.full_like(x, target), (7, 11)).sum(), [x])
    assert gradient.isfinite().all()
