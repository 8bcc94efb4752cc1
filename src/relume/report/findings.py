"""What the tables say, in plain words. Every sentence is computed; none is typed in."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from relume.report.boards import Board, Line
from relume.report.columns import circular, column, number, signed
from relume.report.depth import Curve
from relume.report.material import Table


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The best method at one place: a network's tap."""

    place: str
    line: Line
    gain: str  # over the best blind floor
    text: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One row of comparisons.csv, read out."""

    row: dict[str, str]
    winner: str  # "a", "b", or "" where the interval leaves it open
    text: str


def headline(boards: Sequence[Board]) -> str:
    """The page's first sentence: the best there is, and by how much it beats knowing nothing of the picture."""
    first = next((board for board in boards if board.methods), None)
    if first is None:
        return "No method has been measured yet: only floors"
    line = best(first.methods)
    return f"From {line.place or 'nothing'}, {line.method} brings pictures back at {_db(line.psnr)}{_above(first, line)}"


def _above(board: Board, line: Line) -> str:
    if board.blind is None:
        return ""
    gain = line.psnr - board.blind.psnr
    return f", {_db(abs(gain))} {'above' if gain >= 0 else 'below'} the best blind floor"


def findings(board: Board, comparisons: Table, level: float) -> list[Finding]:
    """One per place, best first."""
    places: dict[str, list[Line]] = {}
    for line in board.methods:
        places.setdefault(line.place, []).append(line)
    winners = sorted((best(lines) for lines in places.values()), key=lambda line: -line.psnr)
    return [_finding(board, line, len(places[line.place]), comparisons, level) for line in winners]


def best(lines: Sequence[Line]) -> Line:
    """Oracles only where there is nothing else: they have seen the answer."""
    return max([line for line in lines if not line.oracle] or lines, key=lambda line: line.psnr)


def _finding(board: Board, line: Line, rivals: int, comparisons: Table, level: float) -> Finding:
    sentences = [f"{_best_of(line, rivals)} reaches {_db(line.psnr)}{_interval(line, level)}."]
    gain = ""
    if board.blind is not None:
        gain = signed(line.psnr - board.blind.psnr, 1)
        sentences.append(_against(board.blind, line, comparisons))
    sentences += _between(board, line)
    if line.oracle:
        sentences.append("It is an oracle: it has looked at the pictures, not only at their features.")
    return Finding(place=line.place, line=line, gain=gain, text=" ".join(sentences))


def _best_of(line: Line, rivals: int) -> str:
    return f"{line.method}, the best of {rivals} methods here," if rivals > 1 else line.method


def _interval(line: Line, level: float) -> str:
    if line.interval is None:
        return " (no interval: one source only)"
    lo, hi = line.interval
    scored = f"n = {line.cells['n']} from {line.cells['sources']} sources"
    return f" ({level:.0%} interval {signed(lo, 1)} to {signed(hi, 1)} dB, {scored})"


def _against(floor: Line, line: Line, comparisons: Table) -> str:
    """The gain over a floor, and how sure it is where compare has paired the two."""
    gain = line.psnr - floor.psnr
    more = "more" if gain >= 0 else "less"
    text = f"That is {_db(abs(gain))} {more} than the best floor that has not seen the picture, {floor.method}"
    row = paired(line, floor, comparisons)
    lo, hi = (number(row[end]) if row else None for end in ("lo", "hi"))
    if lo is None or hi is None:
        return f"{text}; the two have not been compared pair by pair."
    sure = "which excludes zero" if lo > 0 or hi < 0 else "which includes zero: no difference is shown"
    return f"{text}; the interval of the difference is {signed(lo, 1)} to {signed(hi, 1)} dB, {sure}."


def paired(line: Line, floor: Line, comparisons: Table) -> dict[str, str] | None:
    """Where compare has set the two beside each other by PSNR, on the pictures and at the place of the first."""
    same = ("dataset", "size", "network", "tap")
    for row in comparisons:
        named = row["metric"] == "psnr" and (row["a"], row["b"]) == (line.method, floor.method)
        if named and all(row[name] == line.cells[name] for name in same):
            return row
    return None


def _between(board: Board, line: Line) -> list[str]:
    """Where it stands on the ladder of floors that know the picture itself."""
    below, above = board.bracket(line)
    if above and below:
        return [f"Among floors made from the picture itself it lies between {_name(below)} and {_name(above)}."]
    if below:
        return [f"It also beats every floor made from the picture itself, the best of which is {_name(below)}."]
    return [f"Every floor made from the picture itself is better, already {_name(above)}."] if above else []


def _name(line: Line) -> str:
    return f"{line.method} ({_db(line.psnr)})"


def _db(value: float) -> str:
    return f"{signed(value, 1)} dB"


def descent(board: Board, curve: Curve) -> str:
    """A family's way down a network, as its means have it."""
    steps = curve.steps
    taps = [line.cells["tap"] for line in steps]
    text = f"{curve.name}: {', '.join(f'{_db(line.psnr)} at {tap}' for line, tap in zip(steps, taps, strict=True))}"
    rises = [(taps[at], taps[at + 1]) for at, (a, b) in enumerate(pairwise(steps)) if b.psnr >= a.psnr]
    if rises:
        text += f"; not less with every step: {rises[0][1]} is not below {rises[0][0]}"
    elif len(steps) > 1:
        text += "; less with every step"
    if not steps or board.blind is None:
        return f"{text}."
    return f"{text}. At {taps[-1]} it is{_above(board, steps[-1]).removeprefix(',')}."


def verdict(row: dict[str, str]) -> Verdict:
    """Who is better, by how much, and whether the interval excludes zero."""
    metric = column(row["metric"])
    diff, lo, hi = (number(row[name]) for name in ("diff", "lo", "hi"))
    if diff is None:
        return Verdict(row=row, winner="", text="no common pictures")
    ahead = diff > 0 if metric.better != "lower" else diff < 0
    if circular(metric, row["network"]):
        return Verdict(row=row, winner="", text=f"judged by the network that {row['a']} inverted: proves nothing")
    better, worse = (row["a"], row["b"]) if ahead else (row["b"], row["a"])
    by = " ".join(filter(None, (signed(abs(diff), metric.digits), metric.unit)))
    if lo is None or hi is None:
        why = "one source only, so no interval" if row["sources"] == "1" else "no interval, so nothing is claimed"
        return Verdict(row=row, winner="", text=f"{better} is ahead of {worse} by {by}; {why}")
    if lo <= 0 <= hi:
        return Verdict(
            row=row, winner="", text=f"{better} is ahead of {worse} by {by}, but the interval includes zero: undecided"
        )
    return Verdict(
        row=row, winner="a" if ahead else "b", text=f"{better} is better than {worse} by {by}; the interval excludes zero"
    )
