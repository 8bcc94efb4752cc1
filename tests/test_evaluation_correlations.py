"""How far metrics agree: against scipy, by hand, and what a metric that is blind to a method is not asked."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from relume.evaluation.correlations import CORRELATIONS, Pool, correlations, of_methods, spearman
from relume.evaluation.evidence import IDENTITY, Cell
from relume.evaluation.metrics import METRICS

RNG = np.random.default_rng(0)


def cell(method: str, network: str = "", ids: int = 4, **values: Sequence[float]) -> Cell:
    identity = dict.fromkeys(IDENTITY, "") | {"method": method, "network": network, "task": "feature", "dataset": "toy"}
    identity |= {"size": "32"}
    full = {name: np.array(values.get(name, [np.nan] * ids), float) for name in METRICS}
    sources = [f"photo{number}" for number in range(ids)]
    return Cell(identity=identity, ids=sources, sources=sources, values=full, spreads={}, seconds=None, device="")


def test_scipy_agrees_also_on_ties_and_repeated_rows() -> None:
    values = np.stack([RNG.normal(size=30), RNG.integers(0, 4, 30), RNG.integers(0, 2, 30)], 1)
    counts = RNG.integers(0, 3, (2, 30))
    found = spearman(values, counts.astype(float))
    for weights, table in zip(counts, found, strict=True):
        wanted = spearmanr(values.repeat(weights, 0)).statistic
        assert table == pytest.approx(wanted, abs=1e-12)


def test_methods_are_ranked_by_their_means() -> None:
    """Means 1, 2, 3 against 5, 4, 9: ranks 1, 2, 3 against 2, 1, 3, so 1 - 6 (1 + 1) / (3 * 8) = 0.5."""
    values = np.array([[0, 5], [2, 5], [2, 0], [2, 8], [3, 9], [3, 9.0]])
    part = Pool(values=values, method=np.array([0, 0, 1, 1, 4, 4]), source=np.arange(6))
    assert of_methods(part, np.ones((1, 6)))[0, 0, 1] == pytest.approx(0.5)


def test_better_agrees_with_better_and_bounds_hold_the_value() -> None:
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


def test_circular_metrics_are_not_asked() -> None:
    """Of five methods one inverts AlexNet, through which lpips_alex sees, and one has learned by it."""
    cells = [cell(f"m{number}", psnr=RNG.uniform(size=4), lpips_alex=RNG.uniform(size=4)) for number in range(3)]
    cells.append(cell("own", "alexnet", psnr=RNG.uniform(size=4), lpips_alex=RNG.uniform(size=4)))
    taught = cell("taught", psnr=RNG.uniform(size=4), lpips_alex=RNG.uniform(size=4))
    cells.append(replace(taught, seen=frozenset({"alexnet"})))  # by a loss, say
    told = {(row["metric_b"], row["level"]): row["n"] for row in correlations(cells, [], seed=0, level=0.95, draws=10)}
    assert told == {("lpips_alex", "picture"): 12, ("lpips_alex", "method"): 3}
    assert correlations(cells[2:4], [], seed=0, level=0.95, draws=10)[1:] == [], "one method that may be asked: pictures only"


def test_constant_columns_have_no_order() -> None:
    cells = [cell(f"m{number}", psnr=RNG.uniform(size=4), ssim=[1.0] * 4) for number in range(3)]
    for row in correlations(cells, [], seed=0, level=0.95, draws=10):
        assert all(np.isnan(row[key]) for key in ("spearman", "lo", "hi"))
