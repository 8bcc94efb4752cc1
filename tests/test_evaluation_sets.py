"""Distances between sets of embeddings: by hand, against formulas of their own, and what they must say of equal sets."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor

from relume.core.runtime import generator
from relume.evaluation.sets import BLOCK, Gaussian, frechet, gaussian, halves, kid, kids


def draw(n: int, d: int, key: str) -> Tensor:
    return torch.randn(n, d, generator=generator(0, key), dtype=torch.float64)


def spread(mean: list[float], deviations: list[float]) -> Gaussian:
    return Gaussian(mean=torch.tensor(mean).double(), root=torch.diag(torch.tensor(deviations).double()))


def test_frechet_by_hand() -> None:
    """|m - m'|^2 + sum (s - s')^2: 9 + 16 + 1 + 4. Of -1 and 1: mean 0, variance 2 (over n - 1); of 1 and 5: 3 and 8."""
    assert frechet(spread([0, 1], [1, 5]), spread([3, 5], [2, 3])) == pytest.approx(9 + 16 + 1 + 4)
    assert frechet(spread([0, 1], [1, 5]), spread([0, 1], [1, 5])) == pytest.approx(0, abs=1e-12)
    a, b = (gaussian(torch.tensor(values)[:, None]) for values in ([-1.0, 1.0], [1.0, 5.0]))
    assert frechet(a, b) == pytest.approx(9 + (8**0.5 - 2**0.5) ** 2)
    with pytest.raises(ValueError, match="N >= 2"):
        gaussian(draw(1, 3, "x"))


@pytest.mark.parametrize(("n", "m"), [(40, 30), (5, 40), (5, 4)], ids=["many", "few against many", "few"])
def test_frechet_agrees_with_a_matrix_root(n: int, m: int) -> None:
    x, y = draw(n, 8, "x") @ draw(8, 8, "mix"), draw(m, 8, "y") + 0.3
    a, b = np.cov(x.numpy(), rowvar=False), np.cov(y.numpy(), rowvar=False)
    blur = 1e-10 * np.eye(8)  # sqrtm wants it where the covariances are singular
    root = sqrtm((a + blur) @ (b + blur)).real
    wanted = float((x.mean(0) - y.mean(0)).square().sum()) + np.trace(a + b - 2 * root)
    assert frechet(gaussian(x), gaussian(y)) == pytest.approx(wanted, rel=1e-4)


def test_kid_by_hand() -> None:
    """x = 0, 1, 2 against y = 1, 1, with D = 1: k(a, b) = (ab + 1)^3."""
    within_x, within_y, across = (1 + 1 + 27) / 3, 8, (2 * 1 + 2 * 8 + 2 * 27) / 6
    x, y = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[1.0], [1.0]])
    assert kid(x, y) == pytest.approx(within_x + within_y - 2 * across)
    of_x, of_y = torch.tensor([0, 1, 1]), torch.tensor([1, 2])  # k(1, 2) within, and k(1, 1) and k(2, 1) across are left out
    assert kid(x, y, of_x, of_y) == pytest.approx((1 + 1) / 2 + within_y - 2 * (2 * 1 + 8 + 27) / 4)


def test_kid_agrees_with_its_sums() -> None:
    """More rows than a block; means over i != j, written out. A set against itself is at nothing without its own meetings."""
    x, y = draw(BLOCK + 5, 2, "x"), 1.2 * draw(7, 2, "y")

    def mean(a: Tensor, b: Tensor, *, same: bool) -> float:
        k = ((a.numpy() @ b.numpy().T) / 2 + 1) ** 3
        return float(k[~np.eye(len(k), dtype=bool)].mean() if same else k.mean())

    wanted = mean(x, x, same=True) + mean(y, y, same=True) - 2 * mean(x, y, same=False)
    assert kid(x, y) == pytest.approx(wanted, rel=1e-9)
    x = draw(9, 4, "x")
    assert kid(x, x, torch.arange(9), torch.arange(9)) == pytest.approx(0, abs=1e-12)
    assert kid(x, x) < 0


def test_crops_of_one_source_make_no_distance() -> None:
    """Of few sources with five crops each, all of one distribution; were crops of a source paired, it would be far from 0."""

    def crops(key: str) -> Tensor:
        return draw(4, 3, key).repeat_interleave(5, 0) + 0.1 * draw(20, 3, f"{key} crops")

    of_x, of_y = (torch.arange(4).repeat_interleave(5) + first for first in (0, 4))
    pairs = [(crops(f"x{number}"), crops(f"y{number}")) for number in range(300)]
    values = torch.tensor([kid(x, y, of_x, of_y) for x, y in pairs])
    naive = torch.tensor([kid(x, y) for x, y in pairs])
    assert abs(values.mean()) < 3 * values.std() / len(values) ** 0.5
    assert naive.mean() > 5 * naive.std() / len(values) ** 0.5


def test_subsets_are_sets_of_their_own() -> None:
    x, y = draw(6, 3, "x"), draw(5, 3, "y")
    in_x, in_y = torch.tensor([[1, 0, 1, 1, 0, 1]]).T.bool(), torch.tensor([[0, 1, 1, 0, 1]]).T.bool()
    of_x, of_y = torch.tensor([0, 0, 1, 2, 3, 3]), torch.tensor([4, 0, 0, 5, 2])
    found = kids(x, y, in_x, in_y, of_x, of_y)
    own = kid(x[in_x[:, 0]], y[in_y[:, 0]], of_x[in_x[:, 0]], of_y[in_y[:, 0]])
    assert found.tolist() == pytest.approx([own])


def test_halves_take_half_of_every_stratum() -> None:
    drawn = halves([["a", "b", "c", "d"], ["e", "f", "g"], []], 50, generator(0, "halves"))
    assert set(drawn) == set("abcdefg")
    assert (torch.stack([drawn[source] for source in "abcd"]).sum(0) == 2).all()
    assert (torch.stack([drawn[source] for source in "efg"]).sum(0) == 1).all()
    assert all(taken.any() and not taken.all() for taken in drawn.values())
