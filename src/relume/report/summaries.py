"""A summary per network: the best method at each depth, its margins and their intervals, and what an embedding leaks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from relume.report.columns import number, signed
from relume.report.data import Table
from relume.report.depth import Depths
from relume.report.findings import best, paired
from relume.report.leaderboards import Leaderboard, Result

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
        return "" if self.lo is None or self.hi is None else f"{signed(self.lo, 1)} to {signed(self.hi, 1)}"


@dataclass(frozen=True, kw_only=True)
class Leak:
    """Re-identification by the method with the highest share."""

    result: Result
    share: float
    net: str
    candidates: float

    @property
    def chance(self) -> float:
        return 1 / self.candidates

    @property
    def text(self) -> str:
        return f"{self.share:.0%} of {self.result.method}'s images are re-identified among {self.candidates:.0f} by {self.net}"


@dataclass(frozen=True, kw_only=True)
class Depth:
    """One tap: the best method by PSNR and its margins."""

    tap: str
    result: Result
    gain: Margin | None  # over the best no-information baseline
    runner_up: Margin | None  # over the second best method
    best_lpips: Result | None  # the best by LPIPS, where it is another method
    leak: Leak | None


@dataclass(frozen=True, kw_only=True)
class NetworkSummary:
    network: str
    depths: list[Depth]
    sentences: list[str]


def summaries(board: Leaderboard, found: Sequence[Depths], comparisons: Table) -> list[NetworkSummary]:
    """One per network whose features were inverted."""
    return [_summary(board, one, comparisons) for one in found]


def _summary(board: Leaderboard, one: Depths, comparisons: Table) -> NetworkSummary:
    mine = [result for result in board.methods if result.cells["network"] == one.network]
    depths = [_depth(board, tap, [result for result in mine if result.cells["tap"] == tap], comparisons) for tap in one.places]
    return NetworkSummary(network=one.network, depths=depths, sentences=list(_sentences(one.network, depths)))


def _depth(board: Leaderboard, tap: str, results: Sequence[Result], comparisons: Table) -> Depth:
    first = best(results)
    others = [result for result in results if result is not first and not result.oracle]
    measured = [(value, one) for one in (first, *others) if (value := number(one.cells["lpips_vgg"])) is not None]
    best_lpips = min(measured, key=lambda pair: pair[0])[1] if measured else first
    return Depth(
        tap=tap,
        result=first,
        gain=None if board.no_information is None else margin(first, board.no_information, comparisons),
        runner_up=margin(first, best(others), comparisons) if others else None,
        best_lpips=None if best_lpips is first else best_lpips,
        leak=leak([first, *others]),
    )


def margin(result: Result, other: Result, comparisons: Table) -> Margin:
    """With the interval of the paired comparison, in either order; otherwise the difference of the means alone."""
    for a, b, sign in ((result, other, 1), (other, result, -1)):
        row = paired(a, b, comparisons)
        diff, lo, hi = (number(row[name]) if row else None for name in ("diff", "lo", "hi"))
        if diff is not None and lo is not None and hi is not None:
            low, high = sorted((sign * lo, sign * hi))
            return Margin(other=other, diff=sign * diff, lo=low, hi=high)
    return Margin(other=other, diff=result.score - other.score)


def leak(results: Sequence[Result]) -> Leak | None:
    """Never measured by the network that was inverted."""
    found = []
    for result in results:
        share, candidates = number(result.cells["reid_top1"]), number(result.cells["reid_n"])
        inverted = [name.removesuffix("_conv") for name in result.cells["network"].split("+")]
        fair = not any(name and result.cells["reid_net"].startswith(name) for name in inverted)
        if fair and share is not None and candidates:
            found.append(Leak(result=result, share=share, net=result.cells["reid_net"], candidates=candidates))
    return max(found, key=lambda one: one.share, default=None)


def _sentences(network: str, depths: Sequence[Depth]) -> Iterator[str]:
    single = [depth for depth in depths if "+" not in depth.tap] or list(depths)
    first, last = single[0], single[-1]
    if first is not last:
        ends = [f"{_db(depth.result.score)} at {depth.tap} ({depth.result.method})" for depth in (first, last)]
        yield f"Inversions reach {ends[0]} and {ends[1]}, the deepest inverted tap."
    yield from _gains(depths)
    contests = [_contest(depth, depth.runner_up) for depth in depths if depth.runner_up]
    if contests:
        yield f"Where several methods were run: {'; '.join(contests)}."
    yield f"A stored {last.tap} embedding of {network} leaks {_leaked(last)}."


def _gains(depths: Sequence[Depth]) -> Iterator[str]:
    gains = [(depth.tap, depth.gain) for depth in depths if depth.gain]
    if not gains:
        return
    above = [tap for tap, one in gains if one.decision == "significant" and one.diff > 0]
    others = [tap for tap, _ in gains if tap not in above]
    name = gains[0][1].other.method
    text = f"The best method is significantly above the no-information baseline ({name}) at {_listed(above) or 'no depth'}"
    yield f"{text}; at {_listed(others)} this is not shown." if others and above else f"{text}."


def _contest(depth: Depth, ahead: Margin) -> str:
    text = f"at {depth.tap} {depth.result.method} is {_db(ahead.diff)} ahead of {ahead.other.method} ({ahead.decision})"
    return f"{text}, but by LPIPS {depth.best_lpips.method} is best" if depth.best_lpips else text


def _leaked(depth: Depth) -> str:
    image = "an image"
    if depth.gain is not None:
        where = "above" if depth.gain.diff >= 0 else "below"
        interval = f" ({depth.gain.interval})" if depth.gain.interval else ""
        image += f" {_db(abs(depth.gain.diff))} {where} the no-information baseline, {depth.gain.decision}{interval}"
    if depth.leak is None:
        return f"{image}; re-identification was not measured"
    return f"{image}; {depth.leak.text} (chance {depth.leak.chance:.1%})"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _db(value: float) -> str:
    return f"{signed(value, 2)} dB"
