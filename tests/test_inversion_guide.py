"""The guide, a linear map from features to a coarse image. Also initial images."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from relume.core.images import resize
from relume.core.runtime import randn
from relume.data.store import Dataset
from relume.losses.config import GuideTerm
from relume.methods.optimise.config import Init
from relume.methods.optimise.guide import Guide, Normal, fit
from relume.methods.optimise.problem import noised
from relume.methods.optimise.targets import Provider
from relume.networks.facts import IMAGENET_MEAN, IMAGENET_STD
from tests.evaluation_files import write_dataset
from tests.inversion_files import SIZE, net, settings

CPU = torch.device("cpu")


def term(grid: int = 4, ridge: float = 1.0e-9, reach: Literal[1, 3, 5] = 1) -> GuideTerm:
    return GuideTerm(grid=grid, ridge=ridge, pictures=8, reach=reach)


def photos(seed: int, count: int = 24, size: int = 16) -> Tensor:
    return 0.1 + 0.8 * torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def pixels(images: Tensor) -> dict[str, Tensor]:
    return {"pixels": images}


def embedding(images: Tensor) -> dict[str, Tensor]:
    """A linear mix of the coarse image: (N, 48)."""
    mix = torch.randn(48, 48, generator=torch.Generator().manual_seed(9))
    return {"pool": resize(images, 4).flatten(1) @ mix + 1}


def both(images: Tensor) -> dict[str, Tensor]:
    return {**pixels(images), "pool": images.mean((2, 3))}


@pytest.mark.parametrize("reach", [1, 3, 5])
@pytest.mark.parametrize("look", [pixels, both, embedding])
def test_guide_recovers_a_linear_map(look: Any, reach: Literal[1, 3, 5]) -> None:
    learned = fit(look, photos(0, 48).split(8), term(reach=reach))
    unseen = photos(1)
    torch.testing.assert_close(learned.read(look(unseen)), resize(unseen, 4), atol=1e-3, rtol=0)


@pytest.mark.parametrize("grid", [1, 2, 4])
@pytest.mark.parametrize("look", [pixels, embedding, both])
def test_guide_with_a_large_ridge_predicts_the_mean(look: Any, grid: int) -> None:
    """For pooled features the mean of image and mirror image, for maps the mean colour."""
    images = photos(0)
    learned = fit(look, images.split(8), term(grid=grid, ridge=1.0e9))
    coarse = resize(images, grid)
    mean = (coarse + coarse.flip(-1)).mean(0, keepdim=True) / 2
    if look is not embedding:
        mean = mean.mean((2, 3), keepdim=True).expand(1, 3, grid, grid)
    torch.testing.assert_close(learned.read(look(photos(1, 2))), mean.expand(2, -1, -1, -1), atol=1e-5, rtol=0)


def test_normal_equations_are_ridge_regression() -> None:
    """Against the closed form on centred data, in batches or at once."""
    dice = torch.Generator().manual_seed(0)
    x, y = (torch.randn(40, width, dtype=torch.float64, generator=dice) for width in (6, 3))
    total = Normal()
    for part in (slice(0, 7), slice(7, 40)):
        total.add(x[part], y[part])
    mean, centre, gradient = total.solve(0.3)
    a, b = (x - x.mean(0)).numpy(), (y - y.mean(0)).numpy()
    strength = 0.3 * (a**2).sum(0).mean()
    np.testing.assert_allclose(gradient, np.linalg.solve(a.T @ a + strength * np.eye(6), a.T @ b), rtol=1e-8)
    torch.testing.assert_close(mean, x.mean(0))
    torch.testing.assert_close(centre, y.mean(0))


def test_guide_is_in_range_and_rows_are_independent() -> None:
    learned = fit(pixels, photos(0).split(8), term())
    wild = torch.cat([torch.full((1, 3, 16, 16), -1.0), torch.full((1, 3, 16, 16), 2.0), photos(2, 1)])
    found = learned.read(pixels(wild))
    assert found.min() >= 0
    assert found.max() <= 1
    torch.testing.assert_close(found[2:], learned.read(pixels(photos(2, 1))))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return write_dataset(tmp_path / "toy", size=SIZE)


def learned_from(dataset: Dataset, base: dict[str, Any], taps: dict[str, float], size: int = SIZE) -> Guide:
    config = settings(base, taps=taps, terms={"guide": {"grid": 4, "pictures": 640, "reach": 1}})
    return Provider(dataset, {"alexnet_conv": net("alexnet_conv")}, CPU).guide(config, size)


@pytest.mark.parametrize("taps", [{"conv2": 1.0}, {"pool": 1.0}, {"conv3": 1.0, "pool": 1.0}])
def test_guide_uses_training_images_only(
    dataset: Dataset, default_params: dict[str, Any], taps: dict[str, float], tmp_path: Path
) -> None:
    plain = learned_from(dataset, default_params, taps)
    trained = np.array([row["split"] == "train" for row in dataset.index])
    changed = np.where(trained[:, None, None, None], dataset.images, 255 - dataset.images)
    other = Dataset(**{**vars(dataset), "images": changed})
    again = learned_from(other, default_params, taps)
    assert torch.equal(plain.gradient, again.gradient)
    assert torch.equal(plain.centre, again.centre)
    inverted = Dataset(**{**vars(dataset), "images": 255 - changed})
    assert not torch.equal(learned_from(inverted, default_params, taps).centre, plain.centre)


def init(**values: Any) -> Init:
    return Init(**{"base": "grey", "mean": 0.5, "std": 0.0, "noising": 0.0, **values})


def test_initial_noise() -> None:
    """One draw per seed for both blends: gaussian on the base, then (base + f * natural noise) / (1 + f)."""
    base, seeds = torch.full((1, 3, 4, 4), 0.5), [3, 4]
    noise = randn((3, 4, 4), seeds)
    begun = (base + 0.2 * noise).clamp(0, 1)
    assert torch.equal(noised(base, init(std=0.2), seeds), begun)
    natural = torch.stack([m + s * noise[:, c] for c, (m, s) in enumerate(zip(IMAGENET_MEAN, IMAGENET_STD, strict=True))], 1)
    blended = noised(base, init(std=0.2, noising=3.0), seeds)
    torch.testing.assert_close(blended, ((begun + 3 * natural) / 4).clamp(0, 1))
    torch.testing.assert_close(noised(base, init(std=0.2, noising=3.0), seeds[1:]), blended[1:])
    assert torch.equal(noised(base.expand(2, -1, -1, -1), init(), seeds), base.expand(2, -1, -1, -1))
