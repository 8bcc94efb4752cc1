"""Intervals: known answers, and how often they hold what they should when sources are few."""

import math

import numpy as np
import pytest

from relume.evaluation.statistics import expanded_tail, interval, paired, resample, spread


def clustered(sources: int, crops: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """Mean 0; half of the variance is between sources."""
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


def test_intervals_by_hand():
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


def test_many_independent_pictures_give_the_normal_interval():
    values = np.random.default_rng(0).normal(10, 2, 400)
    found = interval(values, [str(number) for number in range(400)], seed=1, resamples=4000)
    half = 1.96 * values.std(ddof=1) / 20
    assert found.lo == pytest.approx(values.mean() - half, abs=0.03)
    assert found.hi == pytest.approx(values.mean() + half, abs=0.03)


def test_equal_seeds_give_equal_intervals_whatever_the_labels():
    values, labels = clustered(6, 4, 0)
    assert interval(values, labels, seed=3) == interval(values, [f"x{label}" for label in labels], seed=3)
    assert interval(values, labels, seed=3) != interval(values, labels, seed=4)


def test_expansion_vanishes_with_many_sources():
    assert expanded_tail(100_000, 0.95) == pytest.approx(0.025, abs=1e-4)
    assert expanded_tail(6, 0.95) == pytest.approx(0.00243, abs=1e-4)  # Phi(-sqrt(6/5) * 2.5706)


@pytest.mark.parametrize("sources", [6, 20])
def test_intervals_hold_the_truth_as_often_as_they_say(sources: int):
    assert 0.89 <= coverage(sources, whole=True) <= 0.99


def test_pairing_takes_out_what_pictures_have_in_common():
    values, labels = clustered(10, 3, 0)
    better = values + 0.1 + 0.01 * np.random.default_rng(1).normal(size=len(values))
    found = paired(better, values, labels, seed=0)
    assert found.lo > 0.08
    assert found.hi < 0.12
    assert interval(better, labels, seed=0).lo < 0
    turned = paired(values, better, labels, seed=0)
    assert (turned.lo, turned.hi) == pytest.approx((-found.hi, -found.lo), abs=1e-12)


def test_what_is_no_number_is_refused():
    for values, labels in (([1.0, float("nan")], ["a", "b"]), ([], []), ([1.0], ["a", "b"])):
        with pytest.raises(ValueError, match="one finite value per source"):
            interval(values, labels, seed=0)
