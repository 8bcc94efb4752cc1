"""How a method goes to its picture step by step: the energy over the steps as a chart, the picture at each, and as a film."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from relume.core.masked_results import RATIO, pasted, visible
from relume.report.charts import Panel, methods, panels
from relume.report.fillings import Filling, percent
from relume.report.material import Originals
from relume.report.pictures import data_uri, film_uri, seen_uri

TERM = "energy@"  # of a trace; the share of hidden pixels follows
STRIPS = 4  # pictures whose every step stands side by side


@dataclass(frozen=True, kw_only=True)
class Frame:
    step: str
    energy: float
    uri: str


@dataclass(frozen=True, kw_only=True)
class Way:
    """One picture's: what is hidden, pasted into what is visible; what a model says of visible cells it was never taught."""

    id: str
    source: str
    original: str
    visible: str
    frames: list[Frame]  # none of pictures that only stand in the film
    film: str
    last: str
    first_energy: float
    last_energy: float


@dataclass(frozen=True, kw_only=True)
class Walk:
    """One method's: energies are means over pictures, a line per share of hidden pixels."""

    id: str
    method: str
    hidden: str
    size: int
    panels: list[Panel]
    legend: list[str]
    ways: list[Way]

    @property
    def strips(self) -> list[Way]:
        return [way for way in self.ways if way.frames]


def walks(one: Filling, originals: Mapping[str, Originals]) -> list[Walk]:
    """A walk per method that has one."""
    return [_walk(one, name, originals) for name in dict.fromkeys(str(row["method"]) for row in one.descent.rows)]


def _walk(one: Filling, method: str, originals: Mapping[str, Originals]) -> Walk:
    (ratio,) = {str(row[RATIO]) for row in one.descent.rows if row["method"] == method}
    share = next(share for share in one.rows if (share[0], share[3]) == (method, ratio))
    trace = [row for row in one.trace if row["method"] == method and row["term"].startswith(TERM)]
    drawn = [{**row, "term": "energy", "method": f"{percent(row['term'].removeprefix(TERM))} hidden"} for row in trace]
    steps: dict[str, list[int]] = {}
    for number, row in enumerate(one.descent.rows):
        if row["method"] == method:
            steps.setdefault(str(row["id"]), []).append(number)
    found = []
    for at, (id, numbers) in enumerate(steps.items()):
        found.append(_way(one, originals[share[1]], id, one.rows[share][id], numbers, whole=at < STRIPS))
    return Walk(
        id=f"{one.group.name}-{method}",
        method=method,
        hidden=percent(ratio),
        size=int(share[2]),
        panels=panels(drawn),
        legend=methods(drawn),
        ways=found,
    )


def _way(one: Filling, originals: Originals, id: str, row: int, numbers: list[int], *, whole: bool) -> Way:
    truth = originals.images[originals.rows[id]]
    images = np.stack([pasted(truth, one.descent.images[number], one.masks[row]) for number in numbers])
    rows = [one.descent.rows[number] for number in numbers]
    energies = [float(str(row["energy"])) for row in rows]
    frames = zip(rows, energies, images, strict=True) if whole else ()
    return Way(
        id=id,
        source=originals.sources[id],
        original=data_uri(truth),
        visible=data_uri(visible(truth, one.masks[row])),
        frames=[Frame(step=str(row["step"]), energy=energy, uri=seen_uri(pixels)) for row, energy, pixels in frames],
        film=film_uri(images),
        last=seen_uri(images[-1]),
        first_energy=energies[0],
        last_energy=energies[-1],
    )
