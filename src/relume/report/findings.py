"""Sentences about the tables. Every sentence is computed from the numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from relume.report.columns import circular, column, number, signed
from relume.report.data import Table
from relume.report.depth import Curve
from relume.report.leaderboards import Leaderboard, Result


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The best method at one place: a network's tap."""

    result: Result
    text: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One row of comparisons.csv in words."""

    row: dict[str, str]
    winner: str  # "a", "b", or "" where the interval includes zero or proves nothing
    text: str


def headline(boards: Sequence[Leaderboard]) -> str:
    """The page's first sentence: the best method, and its difference to the no-information baseline."""
    first = next((board for board in boards if board.methods), None)
    if first is None:
        return "No method has been measured yet, only baselines"
    result = best(first.methods)
    return f"{result.method} inverts {result.place or 'nothing'} at {decibels(result.score)}{_above(first, result)}"


def _above(board: Leaderboard, result: Result) -> str:
    if board.no_information is None:
        return ""
    gain = result.score - board.no_information.score
    return f", {decibels(abs(gain))} {'above' if gain >= 0 else 'below'} the no-information baseline"


def findings(board: Leaderboard, comparisons: Table, level: float) -> list[Finding]:
    """One per place, best first."""
    places: dict[str, list[Result]] = {}
    for result in board.methods:
        places.setdefault(result.place, []).append(result)
    winners = sorted((best(results) for results in places.values()), key=lambda result: -result.score)
    return [_finding(board, result, len(places[result.place]), comparisons, level) for result in winners]


def best(results: Sequence[Result]) -> Result:
    """By PSNR. Oracles only if there is nothing else: they have seen the image."""
    return max([result for result in results if not result.oracle] or results, key=lambda result: result.score)


def _finding(board: Leaderboard, result: Result, count: int, comparisons: Table, level: float) -> Finding:
    name = f"{result.method}, the best of {count} methods here," if count > 1 else result.method
    sentences = [f"{name} reaches {decibels(result.score)}{_interval(result, level)}."]
    if board.no_information is not None:
        sentences.append(_against(board.no_information, result, comparisons))
    sentences += _between(board, result)
    if result.oracle:
        sentences.append("It is an oracle: it has seen the images, not only their features.")
    return Finding(result=result, text=" ".join(sentences))


def _interval(result: Result, level: float) -> str:
    if result.interval is None:
        return " (no interval: one source only)"
    lo, hi = result.interval
    scored = f"n = {result.cells['n']} from {result.cells['sources']} sources"
    return f" ({level:.0%} interval {signed(lo, 1)} to {signed(hi, 1)} dB, {scored})"


def _against(baseline: Result, result: Result, comparisons: Table) -> str:
    """The gain over a baseline, with its interval where compare has paired the two."""
    gain = result.score - baseline.score
    more = "more" if gain >= 0 else "less"
    text = f"That is {decibels(abs(gain))} {more} than the best no-information baseline, {baseline.method}"
    row = paired(result, baseline, comparisons)
    lo, hi = (number(row[end]) if row else None for end in ("lo", "hi"))
    if lo is None or hi is None:
        return f"{text}; there is no paired comparison of the two."
    meaning = "which excludes zero" if lo > 0 or hi < 0 else "which includes zero: no difference is shown"
    return f"{text}; the interval of the difference is {signed(lo, 1)} to {signed(hi, 1)} dB, {meaning}."


def paired(result: Result, other: Result, comparisons: Table) -> dict[str, str] | None:
    """The row that compares the two by PSNR, on the images and at the place of the first."""
    same = ("dataset", "size", "network", "tap")
    for row in comparisons:
        named = row["metric"] == "psnr" and (row["a"], row["b"]) == (result.method, other.method)
        if named and all(row[name] == result.cells[name] for name in same):
            return row
    return None


def _between(board: Leaderboard, result: Result) -> list[str]:
    """Its rank among the oracle baselines."""
    below, above = ("" if one is None else f"{one.method} ({decibels(one.score)})" for one in board.bracket(result))
    if above and below:
        return [f"Among the oracle baselines it lies between {below} and {above}."]
    if below:
        return [f"It is above every oracle baseline; the best is {below}."]
    return [f"It is below every oracle baseline; the lowest is {above}."] if above else []


def decibels(value: float) -> str:
    return f"{signed(value, 1)} dB"


def depth_trend(board: Leaderboard, curve: Curve) -> str:
    """A family's means over a network's depth."""
    steps = curve.steps
    taps = [result.cells["tap"] for result in steps]
    means = (f"{decibels(result.score)} at {tap}" for result, tap in zip(steps, taps, strict=True))
    text = f"{curve.name}: {', '.join(means)}"
    rises = [(taps[at], taps[at + 1]) for at, (a, b) in enumerate(pairwise(steps)) if b.score >= a.score]
    if rises:
        text += f"; does not decrease at every step: {rises[0][1]} is not below {rises[0][0]}"
    elif len(steps) > 1:
        text += "; decreases at every step"
    if not steps or board.no_information is None:
        return f"{text}."
    return f"{text}. At {taps[-1]} it is{_above(board, steps[-1]).removeprefix(',')}."


def read_comparison(row: dict[str, str]) -> Comparison:
    """Which method is better, by how much, and whether the interval excludes zero."""
    metric = column(row["metric"])
    diff, lo, hi = (number(row[name]) for name in ("diff", "lo", "hi"))
    if diff is None:
        return Comparison(row=row, winner="", text="no common images")
    ahead = diff > 0 if metric.better != "lower" else diff < 0
    if circular(metric, row["network"]):
        text = f"the metric network is the network that {row['a']} inverted: no evidence"
        return Comparison(row=row, winner="", text=text)
    better, worse = (row["a"], row["b"]) if ahead else (row["b"], row["a"])
    by = " ".join(filter(None, (signed(abs(diff), metric.digits), metric.unit)))
    if lo is None or hi is None:
        why = "one source only, so no interval" if row["sources"] == "1" else "no interval, so undecided"
        return Comparison(row=row, winner="", text=f"{better} is ahead of {worse} by {by}; {why}")
    if lo <= 0 <= hi:
        text = f"{better} is ahead of {worse} by {by}, but the interval includes zero: undecided"
        return Comparison(row=row, winner="", text=text)
    text = f"{better} is better than {worse} by {by}; the interval excludes zero"
    return Comparison(row=row, winner="a" if ahead else "b", text=text)
