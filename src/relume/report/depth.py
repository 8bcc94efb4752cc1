"""Methods by depth: for each network its taps from shallow to deep, and at each tap the best method of every family."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from relume.report.boards import Board, Line

COLUMNS = ("place", "network", "depth", "tap", "family", "method", "psnr", "lpips_vgg", "feature_error")  # of depth.csv
Taps = Mapping[tuple[str, str], Sequence[str]]  # (dataset, network) -> taps from shallow to deep


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A family's methods at a network's taps. Runs that have looked at the picture are a curve of their own."""

    name: str
    family: int  # its number: curves of a family look alike in all charts
    oracle: bool
    best: dict[str, Line]  # tap -> by PSNR
    others: list[Line]

    @property
    def steps(self) -> list[Line]:
        """From single taps, shallow to deep: what can be joined by a line."""
        return [line for tap, line in self.best.items() if "+" not in tap]


@dataclass(frozen=True, kw_only=True)
class Depths:
    network: str
    places: list[str]  # shallow to deep; several taps at once stand last
    curves: list[Curve]

    @property
    def depths(self) -> int:
        return sum("+" not in place for place in self.places)


def depths(board: Board, taps: Taps) -> list[Depths]:
    """One per network whose features were inverted, in the order of the networks' names."""
    found: dict[str, list[Line]] = {}
    for line in board.methods:
        if (board.dataset, line.cells["network"]) in taps:
            found.setdefault(line.cells["network"], []).append(line)
    return [_depths(name, lines, taps[board.dataset, name], board.families) for name, lines in sorted(found.items())]


def _depths(network: str, lines: Sequence[Line], order: Sequence[str], families: Sequence[str]) -> Depths:
    def depth(tap: str) -> tuple[bool, list[int]]:
        return "+" in tap, sorted((order.index(one) for one in tap.split("+")), reverse=True)

    places = sorted({line.cells["tap"] for line in lines}, key=depth)
    kinds = sorted({(families.index(line.cells["family"]), line.oracle) for line in lines})
    curves = [_curve(lines, places, family, families[family], oracle) for family, oracle in kinds]
    return Depths(network=network, places=places, curves=curves)


def _curve(lines: Sequence[Line], places: Sequence[str], family: int, name: str, oracle: bool) -> Curve:
    mine = [line for line in lines if (line.cells["family"], line.oracle) == (name, oracle)]
    ranked = sorted(mine, key=lambda line: (places.index(line.cells["tap"]), -line.psnr))
    best: dict[str, Line] = {}
    for line in ranked:
        best.setdefault(line.cells["tap"], line)
    others = [line for line in ranked if line not in best.values()]
    return Curve(name=f"{name}, oracle" if oracle else name, family=family, oracle=oracle, best=best, others=others)


def table(found: Sequence[Depths]) -> Iterator[dict[str, object]]:
    """depth.csv: a row per point of the curves. `place` sorts by letters as the network sorts by depth."""
    for one in found:
        for curve in one.curves:
            for tap, line in curve.best.items():
                depth = one.places.index(tap) + 1
                place = f"{one.network} {depth:02} {tap}, {curve.name}"
                yield {"place": place, "depth": depth, **{name: line.cells[name] for name in COLUMNS if name in line.cells}}
