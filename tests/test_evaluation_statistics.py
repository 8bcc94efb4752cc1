"""Intervals, correlations and distances of sets: known answers, other implementations, how often they hold what they should."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import torch
from scipy.linalg import sqrtm
from scipy.stats import spearmanr
from torch import Tensor

from benchmarks.clouds import compared, cosine, relative_l2, same_trunk, scatter, statistics
from relume.core.runtime import generator
from relume.evaluation.correlations import CORRELATIONS, Pool, correlations, of_methods, spearman
from relume.evaluation.evidence import IDENTITY, Cell
from relume.evaluation.metrics import METRICS
from relume.evaluation.sets import BLOCK, Gaussian, frechet, gaussian, halves, kids
from relume.evaluation.statistics import expanded_tail, interval, resample, spread
from tests.evaluation_files import kid


def clustered(sources: int, crops: int, seed: int) -> tuple[np.ndarray, list[str]]:
    generator = np.random.default_rng(seed)
    values = np.repeat(generator.normal(size=sources), crops) + generator.normal(size=sources * crops)
    return values, [f"photo{number // crops}" for number in range(sources * crops)]


def coverage(sources: int, *, whole: bool, trials: int = 300) -> float:
    """How often 0 lies inside; `whole`: sources are drawn, else single pictures as if they were independent."""
    hits = 0
    for trial in range(trials):
        values, labels = clustered(sources, 8, trial)
        found = interval(values, labels if whole else list(map(str, range(len(values)))), seed=trial, resamples=1000)
        hits += found.lo <= 0 <= found.hi
    return hits / trials


def test_intervals_by_hand_for_equal_seeds_and_many_sources() -> None:
    found = interval([2.5] * 6, list("aabbcc"), seed=0)
    assert (found.mean, found.lo, found.hi, found.n, found.sources) == (2.5, 2.5, 2.5, 6, 3), "equal values"
    found = interval([1.0, 2.0, 3.0], ["a"] * 3, seed=0)
    assert (found.mean, math.isnan(found.lo), math.isnan(found.hi)) == (2, True, True), "one source tells nothing of the next"
    found = interval([0.0, 0.0, 0.0, 4.0], ["a", "a", "a", "b"], seed=0)
    assert (found.mean, found.lo, found.hi) == (1, 0, 4), "of pictures, not of sources; both draws of one happen half of the time"
    means = resample(np.array([0.0, 1.0]), np.array([0, 1]), seed=0, resamples=8000)
    assert sorted(set(means)) == [0, 0.5, 1]
    assert np.mean(means == 0.5) == pytest.approx(0.5, abs=0.02)
    assert spread([1.0, 3.0, 10.0, 10.0], ["a", "a", "b", "b"]) == pytest.approx(1.0), "pooled variances 2 and 0"
    assert math.isnan(spread([1.0, 2.0], ["a", "b"]))
    values, labels = clustered(6, 4, 0)
    assert interval(values, labels, seed=3) == interval(values, [f"x{label}" for label in labels], seed=3)
    assert interval(values, labels, seed=3) != interval(values, labels, seed=4)
    assert expanded_tail(100_000, 0.95) == pytest.approx(0.025, abs=1e-4)
    assert expanded_tail(6, 0.95) == pytest.approx(0.00243, abs=1e-4)  # Phi(-sqrt(6/5) * 2.5706)
    for values, labels in (([1.0, float("nan")], ["a", "b"]), ([], []), ([1.0], ["a", "b"])):
        with pytest.raises(ValueError, match="one finite value per source"):
            interval(values, labels, seed=0)


@pytest.mark.parametrize("sources", [6, 20])
def test_intervals_hold_the_truth_as_often_as_they_say(sources: int):
    assert 0.89 <= coverage(sources, whole=True) <= 0.99


def test_pairing_takes_out_what_pictures_have_in_common():
    values, labels = clustered(10, 3, 0)
    better = values + 0.1 + 0.01 * np.random.default_rng(1).normal(size=len(values))
    found = interval(better - values, labels, seed=0)
    assert found.lo > 0.08
    assert found.hi < 0.12
    assert interval(better, labels, seed=0).lo < 0
    turned = interval(values - better, labels, seed=0)
    assert (turned.lo, turned.hi) == pytest.approx((-found.hi, -found.lo), abs=1e-12)


RNG = np.random.default_rng(0)


def cell(method: str, network: str = "", ids: int = 4, **values: Sequence[float]) -> Cell:
    identity = dict.fromkeys(IDENTITY, "") | {"method": method, "network": network, "task": "feature", "dataset": "toy"}
    identity |= {"size": "32"}
    full = {name: np.array(values.get(name, [np.nan] * ids), float) for name in METRICS}
    sources = [f"photo{number}" for number in range(ids)]
    return Cell(identity=identity, ids=sources, sources=sources, values=full, spreads={}, seconds=None, device="")


def test_rank_correlations_by_scipy_and_by_hand() -> None:
    values = np.stack([RNG.normal(size=30), RNG.integers(0, 4, 30), RNG.integers(0, 2, 30)], 1)
    counts = RNG.integers(0, 3, (2, 30))
    found = spearman(values, counts.astype(float))
    for weights, table in zip(counts, found, strict=True):
        wanted = spearmanr(values.repeat(weights, 0)).statistic
        assert table == pytest.approx(wanted, abs=1e-12)
    # means 1, 2, 3 against 5, 4, 9: ranks 1, 2, 3 against 2, 1, 3, so 1 - 6 (1 + 1) / (3 * 8) = 0.5
    values = np.array([[0, 5], [2, 5], [2, 0], [2, 8], [3, 9], [3, 9.0]])
    part = Pool(values=values, method=np.array([0, 0, 1, 1, 4, 4]), source=np.arange(6))
    assert of_methods(part, np.ones((1, 6)))[0, 0, 1] == pytest.approx(0.5)


def test_better_agrees_with_better_and_circular_metrics_are_not_asked() -> None:
    """MSE and PSNR tell the same order, though one falls where the other rises; SSIM here tells the opposite."""
    cells = []
    for number in range(5):
        psnr = RNG.uniform(10, 30, 6)
        cells.append(cell(f"m{number}", ids=6, psnr=psnr, mse=10 ** (-psnr / 10), ssim=-psnr, lpips_alex=RNG.uniform(size=6)))
    rows = correlations(cells, [], seed=0, level=0.95, draws=200)
    assert all(set(row) <= set(CORRELATIONS) for row in rows)
    told = {(row["metric_a"], row["metric_b"], row["level"]): row for row in rows}
    for which, n in (("picture", 30), ("method", 5)):
        same, opposite = told["mse", "psnr", which], told["psnr", "ssim", which]
        assert same["n"] == n
        assert same["sources"] == 6
        assert opposite["spearman"] == pytest.approx(-1)
        loose = told["psnr", "lpips_alex", which]
        assert loose["lo"] < loose["spearman"] < loose["hi"]
    assert [told["mse", "psnr", "picture"][key] for key in ("lo", "spearman", "hi")] == pytest.approx([1, 1, 1])
    assert rows == correlations(cells, [], seed=0, level=0.95, draws=200)
    assert {(row["task"], row["dataset"], row["size"]) for row in rows} == {("feature", "toy", "32")}
    # of five methods one inverts AlexNet, through which lpips_alex sees, and one has learned by it
    cells = [cell(f"m{number}", psnr=RNG.uniform(size=4), lpips_alex=RNG.uniform(size=4)) for number in range(3)]
    cells.append(cell("own", "alexnet", psnr=RNG.uniform(size=4), lpips_alex=RNG.uniform(size=4)))
    taught = cell("taught", psnr=RNG.uniform(size=4), lpips_alex=RNG.uniform(size=4))
    cells.append(replace(taught, seen=frozenset({"alexnet"})))  # by a loss, say
    told = {(row["metric_b"], row["level"]): row["n"] for row in correlations(cells, [], seed=0, level=0.95, draws=10)}
    assert told == {("lpips_alex", "picture"): 12, ("lpips_alex", "method"): 3}
    assert correlations(cells[2:4], [], seed=0, level=0.95, draws=10)[1:] == [], "one method that may be asked: pictures only"


def draw(n: int, d: int, key: str) -> Tensor:
    return torch.randn(n, d, generator=generator(0, key), dtype=torch.float64)


def diagonal(mean: list[float], deviations: list[float]) -> Gaussian:
    return Gaussian(mean=torch.tensor(mean).double(), root=torch.diag(torch.tensor(deviations).double()))


def test_frechet_and_kid_by_hand() -> None:
    """|m - m'|^2 + sum (s - s')^2: 9 + 16 + 1 + 4. Of -1 and 1: mean 0, variance 2 (over n - 1); of 1 and 5: 3 and 8."""
    assert frechet(diagonal([0, 1], [1, 5]), diagonal([3, 5], [2, 3])) == pytest.approx(9 + 16 + 1 + 4)
    assert frechet(diagonal([0, 1], [1, 5]), diagonal([0, 1], [1, 5])) == pytest.approx(0, abs=1e-12)
    a, b = (gaussian(torch.tensor(values)[:, None]) for values in ([-1.0, 1.0], [1.0, 5.0]))
    assert frechet(a, b) == pytest.approx(9 + (8**0.5 - 2**0.5) ** 2)
    with pytest.raises(ValueError, match="N >= 2"):
        gaussian(draw(1, 3, "x"))
    # x = 0, 1, 2 against y = 1, 1, with D = 1: k(a, b) = (ab + 1)^3
    within_x, within_y, across = (1 + 1 + 27) / 3, 8, (2 * 1 + 2 * 8 + 2 * 27) / 6
    x, y = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[1.0], [1.0]])
    assert kid(x, y) == pytest.approx(within_x + within_y - 2 * across)
    of_x, of_y = torch.tensor([0, 1, 1]), torch.tensor([1, 2])  # k(1, 2) within, and k(1, 1) and k(2, 1) across are left out
    assert kid(x, y, of_x, of_y) == pytest.approx((1 + 1) / 2 + within_y - 2 * (2 * 1 + 8 + 27) / 4)


@pytest.mark.parametrize(("n", "m"), [(40, 30), (5, 40), (5, 4)], ids=["many", "few against many", "few"])
def test_frechet_agrees_with_a_matrix_root(n: int, m: int) -> None:
    x, y = draw(n, 8, "x") @ draw(8, 8, "mix"), draw(m, 8, "y") + 0.3
    a, b = np.cov(x.numpy(), rowvar=False), np.cov(y.numpy(), rowvar=False)
    blur = 1e-10 * np.eye(8)  # sqrtm wants it where the covariances are singular
    root = sqrtm((a + blur) @ (b + blur)).real
    wanted = float((x.mean(0) - y.mean(0)).square().sum()) + np.trace(a + b - 2 * root)
    assert frechet(gaussian(x), gaussian(y)) == pytest.approx(wanted, rel=1e-4)


def test_kid_agrees_with_its_sums_also_of_subsets() -> None:
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
    x, y = draw(6, 3, "x"), draw(5, 3, "y")
    in_x, in_y = torch.tensor([[1, 0, 1, 1, 0, 1]]).T.bool(), torch.tensor([[0, 1, 1, 0, 1]]).T.bool()
    of_x, of_y = torch.tensor([0, 0, 1, 2, 3, 3]), torch.tensor([4, 0, 0, 5, 2])
    found = kids(x, y, in_x, in_y, of_x, of_y)
    own = kid(x[in_x[:, 0]], y[in_y[:, 0]], of_x[in_x[:, 0]], of_y[in_y[:, 0]])
    assert found.tolist() == pytest.approx([own])


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


def test_halves_take_half_of_every_stratum() -> None:
    drawn = halves([["a", "b", "c", "d"], ["e", "f", "g"], []], 50, generator(0, "halves"))
    assert set(drawn) == set("abcdefg")
    assert (torch.stack([drawn[source] for source in "abcd"]).sum(0) == 2).all()
    assert (torch.stack([drawn[source] for source in "efg"]).sum(0) == 1).all()
    assert all(taken.any() and not taken.all() for taken in drawn.values())


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_embeddings_by_hand_by_scipy_and_by_their_sums() -> None:
    found = statistics(torch.tensor([[3.0, -4.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]))
    wanted = {"negative_share": [0.25, 0], "zero_share": [0.5, 0.75], "mean": [-0.25, 0.25], "norm": [5, 1]}
    assert {name: found[name].tolist() for name in wanted} == wanted
    assert found["cosine"].tolist() == pytest.approx([-0.8, -0.8])
    e = normal(3, 50).exp()
    assert statistics(e)["excess_kurtosis"].tolist() == pytest.approx(scipy.stats.kurtosis(e.numpy(), axis=1).tolist())
    constant = statistics(torch.stack([torch.zeros(5), torch.ones(5)]))
    assert all(torch.isfinite(values).all() for values in constant.values())
    a, b, truth = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 4.0]]), torch.tensor([[0.0, 6.0]])
    assert relative_l2(a, b, truth).tolist() == [0.5]
    assert cosine(a, b, truth).tolist() == pytest.approx([0.2])
    truth, m = normal(1, 7, seed=1).expand(2, 7).contiguous(), 4
    cloud = normal(2, m, 7, seed=2)
    t = truth[:, None]
    one = relative_l2(cloud, t, t).square().mean(1)
    found = scatter(cloud, truth)["relative_l2"]
    scattered = found["unbiased"].square() * (m - 1)  # mean over k of |r_k - r|^2 / |t|^2
    assert torch.allclose(one, found["mean"].square() + scattered)
    assert same_trunk("alexnet", "alexnet_conv")
    assert not same_trunk("vgg16_conv", "alexnet_conv")
    line = compared({}, torch.ones(3), torch.zeros(3), ["a", "b", "c"], seed=0, proves=False)
    assert (line["diff"], line["lo"], line["hi"]) == (1, None, None)
