"""Each inverted network from shallow to deep: the best method at each tap, by how much, how sure, and what an embedding leaks."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from relume.report import labels
from relume.report.columns import column, number, signed
from relume.report.data import Table, grouped
from relume.report.leaderboards import Leaderboard, Result, family

COLUMNS = ("place", "network", "depth", "tap", "family", "method", "psnr", "lpips_vgg", "feature_error")  # of depth.csv
BOUND = "This is a lower bound of what the features leak: a better attack can only raise it."
Taps = Mapping[tuple[str, str], Sequence[str]]  # (dataset, network) -> taps from shallow to deep
Decision = Literal["significant", "undecided", "not paired"]


@dataclass(frozen=True, kw_only=True)
class Margin:
    """PSNR of a method minus that of another, in dB, on the same images."""

    other: Result
    diff: float
    lo: float | None = None
    hi: float | None = None

    @property
    def decision(self) -> Decision:
        if self.lo is None or self.hi is None:
            return "not paired"
        return "significant" if self.lo > 0 or self.hi < 0 else "undecided"

    @property
    def interval(self) -> str:
        return "" if self.lo is None or self.hi is None else f"{signed(self.lo, 2)} to {signed(self.hi, 2)}"


@dataclass(frozen=True, kw_only=True)
class Leak:
    """Re-identification (top-1) of a method's pictures."""

    result: Result
    share: float
    candidates: float

    @property
    def chance(self) -> float:
        return 1 / self.candidates

    @property
    def text(self) -> str:
        """`75% (44% to 100%)`."""
        interval = column("reid_top1").interval(self.result.cells)
        return f"{self.share:.0%}" + (f" ({interval})" if interval else "")


@dataclass(frozen=True, kw_only=True)
class Depth:
    """One tap."""

    tap: str
    results: list[Result]  # best first; oracle runs last
    gain: Margin | None  # of the best over the best no-information baseline
    runner_up: Margin | None  # over the second best method
    leaks: list[Leak]  # most first; an oracle has seen the pictures, so it leaks nothing
    shape: Sequence[int] = ()

    @property
    def best(self) -> Result:
        return self.results[0]

    @property
    def leak(self) -> Leak | None:
        return self.leaks[0] if self.leaks else None

    @property
    def best_lpips(self) -> Result:
        fair = [one for one in self.results if not one.oracle and one.cells.get("lpips_vgg")]
        return min(fair, key=lambda one: float(one.cells["lpips_vgg"]), default=self.best)


@dataclass(frozen=True, kw_only=True)
class Network:
    key: str
    depths: list[Depth]  # shallow to deep; combinations of taps come last
    order: Sequence[str]  # of all the network's taps

    @property
    def label(self) -> str:
        return labels.network(self.key)

    @property
    def single(self) -> list[Depth]:
        """One tap each, shallow to deep."""
        return [one for one in self.depths if "+" not in one.tap] or self.depths

    def bound(self, tap: str) -> Leak | None:
        """The most that is re-identified from here or deeper: deeper features are computed from these, but for `pool_pre`, which
        is the mean before a ReLU.
        """
        deeper = [one for one in self.depths if self._at(one.tap) >= self._at(tap) and "pool_pre" not in one.tap]
        found = [one.leak for one in (*deeper, *(one for one in self.depths if one.tap == tap)) if one.leak]
        return max(found, key=lambda one: one.share, default=None)

    def _at(self, tap: str) -> int:
        return min(self.order.index(part) for part in tap.split("+"))


def networks(
    board: Leaderboard, taps: Taps, shapes: Mapping[tuple[str, str, str], Sequence[int]], comparisons: Table
) -> list[Network]:
    """One per network whose features were inverted; the one with the most taps first."""
    found = grouped(board.methods, lambda result: result.cells["network"])
    made = []
    for key, results in sorted((key, results) for key, results in found.items() if (board.dataset, key) in taps):
        order = taps[board.dataset, key]
        places = sorted({one.cells["tap"] for one in results}, key=lambda tap: _depth_of(tap, order))
        at = grouped(results, lambda one: one.cells["tap"])
        there = [_depth(board, tap, at[tap], shapes.get((board.dataset, key, tap), ()), comparisons) for tap in places]
        made.append(Network(key=key, order=order, depths=there))
    return sorted(made, key=lambda one: -len(one.single))


def _depth_of(tap: str, order: Sequence[str]) -> tuple[bool, list[int]]:
    return "+" in tap, sorted((order.index(part) for part in tap.split("+")), reverse=True)


def _depth(board: Leaderboard, tap: str, results: Sequence[Result], shape: Sequence[int], comparisons: Table) -> Depth:
    ranked = sorted(results, key=lambda one: (one.oracle, -one.score))
    fair = [one for one in ranked if not one.oracle]
    leaks = sorted((found for one in fair if (found := leak(one))), key=lambda one: -one.share)
    return Depth(
        tap=tap,
        results=ranked,
        gain=None if board.no_information is None else margin(ranked[0], board.no_information, comparisons),
        runner_up=margin(fair[0], fair[1], comparisons) if len(fair) > 1 else None,
        leaks=leaks,
        shape=shape,
    )


def margin(result: Result, other: Result, comparisons: Table) -> Margin:
    """With the interval of the paired comparison, in either order; otherwise the difference of the means alone."""
    for a, b, sign in ((result, other, 1), (other, result, -1)):
        for row in comparisons:
            paired = (row["metric"], row["a"], row["b"]) == ("psnr", a.method, b.method) and row["lo"]
            if paired and all(row[name] == a.cells[name] for name in ("dataset", "size", "network", "tap")):
                diff, lo, hi = (sign * float(row[name]) for name in ("diff", "lo", "hi"))
                return Margin(other=other, diff=diff, lo=min(lo, hi), hi=max(lo, hi))
    return Margin(other=other, diff=result.score - other.score)


def leak(result: Result) -> Leak | None:
    """Never measured by the network that was inverted."""
    share, candidates = number(result.cells["reid_top1"]), number(result.cells["reid_n"])
    inverted = [name.removesuffix("_conv") for name in result.cells["network"].split("+")]
    fair = not any(name and result.cells["reid_net"].startswith(name) for name in inverted)
    return Leak(result=result, share=share, candidates=candidates) if fair and share is not None and candidates else None


def title(found: Sequence[Network]) -> str:
    """What was inverted."""
    names = [f"{one.label} ({' to '.join(dict.fromkeys((one.single[0].tap, one.single[-1].tap)))})" for one in found]
    return f"Pictures reconstructed from features of {listed(names)}"


def lead(network: Network) -> str:
    """The deepest tap in one sentence."""
    last = network.single[-1]
    text = f"From {network.label} {last.tap}, its deepest layer here, the best method reaches {decibels(last.best.score)} PSNR"
    if gain := last.gain:
        side, baseline = "above" if gain.diff >= 0 else "below", gain.other.label
        text += f", {decibels(abs(gain.diff))} {side} the best no-information baseline ({baseline})"
    return f"{text}; {leaked(last.leak)}"


def leaked(found: Leak | None) -> str:
    if found is None:
        return "re-identification was not measured."
    how = f"another network, not a person, finds the original the most similar of {found.candidates:.0f} candidates"
    return f"{found.text} of {found.result.cells['n']} reconstructions are re-identified: {how}; chance is {found.chance:.1%}."


def researcher(network: Network) -> Iterator[str]:
    """Where the best method is above the baseline; the table has the numbers."""
    gains = [(one.tap, one.gain) for one in network.depths if one.gain]
    above = [tap for tap, one in gains if one.decision == "significant" and one.diff > 0]
    others = [tap for tap, _ in gains if tap not in above]
    if gains:
        text = f"{network.label}: the best method is above the best no-information baseline at {listed(above) or 'no depth'}"
        yield f"{text}; no gain shown at {listed(others)}." if others and above else f"{text}."


def walk(depth: Depth, board: Leaderboard, pixels: int) -> Iterator[str]:
    """What is stored at a tap, and how much of the picture comes back."""
    if depth.shape:
        shape, share = " × ".join(map(str, depth.shape)), math.prod(depth.shape) / pixels
        yield f"{shape} numbers, {share:.0%} as many as in the picture."
    mosaics = [row for row in board.baselines if row.label.startswith(labels.MOSAIC)]
    below = next((row for row in mosaics if row.score <= depth.best.score), None)
    above = next((row for row in reversed(mosaics) if row.score > depth.best.score), None)
    near = " and a ".join(row.label for row in (below, above) if row is not None)
    where = "between a" if below and above else "more than a" if below else "less than a"
    text = f"{depth.best.label} reaches {decibels(depth.best.score)}" + (f", {where} {near}" if near else "")
    yield text + (f"; {found.text} are re-identified." if (found := leak(depth.best)) else ".")


def listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def decibels(value: float) -> str:
    return f"{signed(value, 1)} dB"


def rows(found: Sequence[Network], families: Mapping[str, str]) -> Iterator[dict[str, object]]:
    """depth.csv: the best of each family at each tap. `place` sorts alphabetically as the network sorts by depth."""
    for network in found:
        for at, depth in enumerate(network.depths, 1):
            best: dict[str, Result] = {}
            for result in depth.results:
                best.setdefault(family(result, families), result)
            for name, result in best.items():
                cells = {key: result.cells[key] for key in COLUMNS if key in result.cells}
                yield {**cells, "place": f"{network.label} {at:02} {depth.tap}, {name}", "depth": at}


def verdict(row: Mapping[str, str]) -> str:
    """A row of comparisons.csv in one word or two."""
    metric = column(row["metric"])
    diff, lo, hi = (number(row[name]) for name in ("diff", "lo", "hi"))
    if diff is None:
        return "no common pictures"
    if metric.circular(row):
        return "circular"
    if lo is None or hi is None:
        return "one source" if row["sources"] == "1" else "no interval"
    if lo <= 0 <= hi:
        return "undecided"
    return "better" if (diff > 0) == (metric.better != "lower") else "worse"
