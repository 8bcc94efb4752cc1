"""What a reader wants to know first: what is best at each depth, by how much, how sure, and what an embedding gives away."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from relume.report.boards import Board, Line
from relume.report.columns import column, number, signed
from relume.report.depth import Depths
from relume.report.material import Table
from relume.report.words import best, paired

Sure = Literal["sure", "open", "not paired"]


@dataclass(frozen=True, kw_only=True)
class Margin:
    """PSNR of a method less that of another, in dB, over the same pictures."""

    other: Line
    diff: float
    lo: float | None = None
    hi: float | None = None
    n: str = ""
    sources: str = ""

    @property
    def sure(self) -> Sure:
        if self.lo is None or self.hi is None:
            return "not paired"
        return "sure" if self.lo > 0 or self.hi < 0 else "open"

    @property
    def ends(self) -> str:
        return "" if self.lo is None or self.hi is None else f"{signed(self.lo, 1)} to {signed(self.hi, 1)}"


@dataclass(frozen=True, kw_only=True)
class Leak:
    """Re-identification by the method that shows most of it."""

    line: Line
    share: float
    net: str
    candidates: float

    @property
    def chance(self) -> float:
        return 1 / self.candidates

    @property
    def text(self) -> str:
        return f"{self.share:.0%} of {self.line.method}'s find their original among {self.candidates:.0f} in {self.net}"


@dataclass(frozen=True, kw_only=True)
class Depth:
    """One tap: the best method by PSNR and what stands beside it."""

    tap: str
    line: Line
    floor: Margin | None  # over the best floor that has not seen the picture
    rival: Margin | None  # over the runner-up
    perceived: Line | None  # the best by LPIPS, where that is another
    leak: Leak | None


@dataclass(frozen=True, kw_only=True)
class Answer:
    network: str
    depths: list[Depth]
    sentences: list[str]


def answers(board: Board, found: Sequence[Depths], comparisons: Table) -> list[Answer]:
    """One per network whose features were inverted."""
    return [_answer(board, one, comparisons) for one in found]


def _answer(board: Board, one: Depths, comparisons: Table) -> Answer:
    lines = [line for line in board.methods if line.cells["network"] == one.network]
    depths = [_depth(board, tap, [line for line in lines if line.cells["tap"] == tap], comparisons) for tap in one.places]
    return Answer(network=one.network, depths=depths, sentences=list(_sentences(one.network, depths)))


def _depth(board: Board, tap: str, lines: Sequence[Line], comparisons: Table) -> Depth:
    line = best(lines)
    rivals = [other for other in lines if other is not line and not other.oracle]
    seen = [(value, other) for other in (line, *rivals) if (value := number(other.cells["lpips_vgg"])) is not None]
    perceived = min(seen, key=lambda pair: pair[0])[1] if seen else line
    return Depth(
        tap=tap,
        line=line,
        floor=None if board.blind is None else margin(line, board.blind, comparisons),
        rival=margin(line, best(rivals), comparisons) if rivals else None,
        perceived=None if perceived is line else perceived,
        leak=leak([line, *rivals]),
    )


def margin(line: Line, other: Line, comparisons: Table) -> Margin:
    """As `compare` has paired the two, whichever it named first; otherwise the bare difference of means."""
    for a, b, sign in ((line, other, 1), (other, line, -1)):
        row = paired(a, b, comparisons)
        diff, lo, hi = (number(row[name]) if row else None for name in ("diff", "lo", "hi"))
        if row and diff is not None and lo is not None and hi is not None:
            low, high = sorted((sign * lo, sign * hi))
            return Margin(other=other, diff=sign * diff, lo=low, hi=high, n=row["n"], sources=row["sources"])
    return Margin(other=other, diff=line.psnr - other.psnr)


def leak(lines: Sequence[Line]) -> Leak | None:
    """Never by the eyes of the network that was inverted."""
    found = []
    for line in lines:
        share, candidates = number(line.cells["reid_top1"]), number(line.cells["reid_n"])
        inverted = [name.removesuffix("_conv") for name in line.cells["network"].split("+")]
        fair = not any(name and line.cells["reid_net"].startswith(name) for name in inverted)
        if fair and share is not None and candidates:
            found.append(Leak(line=line, share=share, net=line.cells["reid_net"], candidates=candidates))
    return max(found, key=lambda one: one.share, default=None)


def _sentences(network: str, depths: Sequence[Depth]) -> Iterator[str]:
    single = [depth for depth in depths if "+" not in depth.tap] or list(depths)
    first, last = single[0], single[-1]
    if first is not last:
        ends = [f"at {_db(depth.line.psnr)} from {depth.tap} ({depth.line.method})" for depth in (first, last)]
        yield f"Pictures come back {ends[0]} and {ends[1]}, the deepest tap that was inverted."
    yield from _certain(depths)
    contests = [_contest(depth) for depth in depths if depth.rival]
    if contests:
        yield f"Where several methods compete: {'; '.join(contests)}."
    yield f"A stored {last.tap} embedding of {network} gives away {_given_away(last)}."


def _certain(depths: Sequence[Depth]) -> Iterator[str]:
    floors = [(depth.tap, depth.floor) for depth in depths if depth.floor]
    if not floors:
        return
    above = [tap for tap, one in floors if one.sure == "sure" and one.diff > 0]
    others = [tap for tap, _ in floors if tap not in above]
    guess = floors[0][1].other.method
    text = f"The best method beats the best guess without any features ({guess}) for sure at {_listed(above) or 'no depth'}"
    yield f"{text}; at {_listed(others)} that is not shown." if others and above else f"{text}."


def _contest(depth: Depth) -> str:
    assert depth.rival is not None
    told = {"sure": "sure", "open": "undecided", "not paired": "not compared pair by pair"}[depth.rival.sure]
    text = f"at {depth.tap} {depth.line.method} is {_db(depth.rival.diff)} ahead of {depth.rival.other.method} ({told})"
    return f"{text}, but by LPIPS {depth.perceived.method} is best" if depth.perceived else text


def _given_away(depth: Depth) -> str:
    parts = []
    if depth.floor is not None:
        where = "above" if depth.floor.diff >= 0 else "below"
        sure = {"sure": f", sure ({depth.floor.ends})", "open": f", which may be chance ({depth.floor.ends})"}
        parts.append(
            f"pictures {_db(abs(depth.floor.diff))} {where} the best guess without it{sure.get(depth.floor.sure, ', not paired')}"
        )
    if depth.leak is None:
        return "; ".join([*(parts or ["pictures"]), "whether they find their original among others was not measured"])
    return "; ".join([*(parts or ["pictures"]), f"{depth.leak.text}, where chance finds {depth.leak.chance:.1%}"])


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _db(value: float) -> str:
    return f"{column('psnr').show(str(value))} dB"
