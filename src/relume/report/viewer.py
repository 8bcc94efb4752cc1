"""The order of the methods in the viewer: network by network from shallow to deep, then other methods, then baselines."""

from collections.abc import Sequence
from dataclasses import dataclass

from relume.report.depth import Depths
from relume.report.leaderboards import Result


@dataclass(frozen=True, kw_only=True)
class ViewerItem:
    cell: int  # column of the image grid; 0 is the original
    result: Result

    @property
    def caption(self) -> str:
        return self.result.cells["tap"].replace("+", " + ") or self.result.method


@dataclass(frozen=True, kw_only=True)
class ViewerGroup:
    title: str
    items: list[ViewerItem]


def viewer_groups(results: Sequence[Result], found: Sequence[Depths]) -> list[ViewerGroup]:
    """`results` in the order of the grid's columns. At one tap the best PSNR comes first."""
    networks: dict[str, list[ViewerItem]] = {one.network: [] for one in found}
    others: dict[str, list[ViewerItem]] = {"methods": [], "baselines": []}
    for number, result in enumerate(results, 1):
        items = others["baselines"] if result.baseline else networks.get(result.cells["network"], others["methods"])
        items.append(ViewerItem(cell=number, result=result))
    for one in found:
        networks[one.network].sort(key=lambda item: (one.places.index(item.result.cells["tap"]), -item.result.score))
    titles = {one.network: f"{one.network}, from shallow to deep" for one in found if one.depths > 1}
    return [ViewerGroup(title=titles.get(name, name), items=items) for name, items in (networks | others).items() if items]
