"""The order in which the viewer goes through a board's methods: network by network from shallow to deep, floors last."""

from collections.abc import Sequence
from dataclasses import dataclass

from relume.report.boards import Line
from relume.report.depth import Depths


@dataclass(frozen=True, kw_only=True)
class Stop:
    cell: int  # of a row of the grid of pictures, where its picture stands; 0 is the original
    line: Line
    name: str  # unique within the board: what an address says

    @property
    def caption(self) -> str:
        return self.line.cells["tap"].replace("+", " + ") or self.line.method


@dataclass(frozen=True, kw_only=True)
class Route:
    title: str
    stops: list[Stop]


def routes(lines: Sequence[Line], found: Sequence[Depths]) -> list[Route]:
    """`lines` in the order of the grid's columns. At one tap the best PSNR comes first."""
    kinds: dict[str, list[Stop]] = {one.network: [] for one in found}
    for number, line in enumerate(lines):
        network, tap = line.cells["network"], line.cells["tap"]
        name = "@".join(filter(None, (line.method, f"{network}.{tap}" if tap else network)))
        kind = "floors" if line.floor else network if network in kinds else "methods"
        kinds.setdefault(kind, []).append(Stop(cell=number + 1, line=line, name=name))
    for one in found:
        kinds[one.network].sort(key=lambda stop: (one.places.index(stop.line.cells["tap"]), -stop.line.psnr))
    titles = {one.network: f"{one.network}, from shallow to deep" for one in found if one.depths > 1}
    floors = kinds.pop("floors", [])
    found_routes = [Route(title=titles.get(kind, kind), stops=stops) for kind, stops in kinds.items() if stops]
    return [*found_routes, Route(title="floors", stops=floors)] if floors else found_routes
