"""How an energy model goes to its image step by step: the energy over the steps, the image at each step, and an animation."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from relume.core.results import RATIO, pasted, visible
from relume.report.charts import Panel, methods, panels
from relume.report.data import Originals
from relume.report.images import animation_uri, data_uri, lossy_uri
from relume.report.masked_groups import MaskedGroup, percent

TERM = "energy@"  # of a trace; the mask ratio follows
STRIPS = 4  # trajectories whose steps are also shown side by side


@dataclass(frozen=True, kw_only=True)
class Frame:
    step: str
    energy: float
    uri: str


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """One image's. The hidden part is pasted into the visible part: the model is not trained on visible cells."""

    id: str
    source: str
    original: str
    visible: str
    frames: list[Frame]
    animation: str


@dataclass(frozen=True, kw_only=True)
class EnergyDescent:
    """One method's: energies are means over images, a curve per mask ratio."""

    id: str
    method: str
    hidden: str
    size: int
    panels: list[Panel]
    legend: list[str]
    trajectories: list[Trajectory]

    @property
    def strips(self) -> list[Trajectory]:
        return self.trajectories[:STRIPS]


def energy_descents(masked: MaskedGroup, originals: Mapping[str, Originals]) -> list[EnergyDescent]:
    """One per method that has steps."""
    names = dict.fromkeys(str(row["method"]) for row in masked.descent.rows)
    return [_descent(masked, name, originals) for name in names]


def _descent(masked: MaskedGroup, method: str, originals: Mapping[str, Originals]) -> EnergyDescent:
    (ratio,) = {str(row[RATIO]) for row in masked.descent.rows if row["method"] == method}
    key = next(key for key in masked.rows if (key[0], key[3]) == (method, ratio))
    trace = [row for row in masked.trace if row["method"] == method and row["term"].startswith(TERM)]
    drawn = [{**row, "term": "energy", "method": f"{percent(row['term'].removeprefix(TERM))} hidden"} for row in trace]
    steps: dict[str, list[int]] = {}
    for number, row in enumerate(masked.descent.rows):
        if row["method"] == method:
            steps.setdefault(str(row["id"]), []).append(number)
    return EnergyDescent(
        id=f"{masked.group.name}-{method}",
        method=method,
        hidden=percent(ratio),
        size=int(key[2]),
        panels=panels(drawn),
        legend=methods(drawn),
        trajectories=[_trajectory(masked, originals[key[1]], id, masked.rows[key][id], numbers) for id, numbers in steps.items()],
    )


def _trajectory(masked: MaskedGroup, originals: Originals, id: str, row: int, numbers: list[int]) -> Trajectory:
    truth, mask = originals.image(id), masked.masks[row]
    images = np.stack([pasted(truth, masked.descent.images[number], mask) for number in numbers])
    rows = [masked.descent.rows[number] for number in numbers]
    return Trajectory(
        id=id,
        source=originals.sources[id],
        original=data_uri(truth),
        visible=data_uri(visible(truth, mask)),
        frames=[
            Frame(step=str(row["step"]), energy=float(str(row["energy"])), uri=lossy_uri(pixels))
            for row, pixels in zip(rows, images, strict=True)
        ],
        animation=animation_uri(images),
    )
