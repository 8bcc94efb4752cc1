"""The section on descents in a generator's latent space: loss over steps and seconds, with and without a learned landscape."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relume.core.files import read_csv
from relume.core.results import Group
from relume.report.charts import Panel, curve_panel, short
from relume.report.data import Table

CURVES = "curves.csv"  # a group with this file has such descents
COLUMNS = ("group", "method", "step", "seconds", "loss", "lo", "hi")  # of `landscape.csv`, for plots


@dataclass(frozen=True, kw_only=True)
class Step:
    """Seconds per image and start, and the mean over images of the lowest loss so far, with its interval if there is one."""

    step: int
    seconds: float
    loss: float
    interval: tuple[float, float] | None


Curves = Mapping[str, Sequence[Step]]  # by method, in the order of their colours


@dataclass(frozen=True, kw_only=True)
class LandscapeGroup:
    name: str
    curves: Curves
    panels: list[Panel]
    sentences: list[str]
    n: str
    sources: str
    level: str  # of the intervals

    @property
    def methods(self) -> list[str]:
        return list(self.curves)


def section(groups: Sequence[Group]) -> list[LandscapeGroup]:
    return [_group(group) for group in groups if (group.folder / CURVES).exists()]


def table(found: Sequence[LandscapeGroup]) -> list[dict[str, object]]:
    """Rows of COLUMNS."""
    return [
        {"group": one.name, "method": method, "step": step.step, "seconds": step.seconds, "loss": step.loss}
        | dict(zip(("lo", "hi"), step.interval or (), strict=False))
        for one in found
        for method, steps in one.curves.items()
        for step in steps
    ]


def _group(group: Group) -> LandscapeGroup:
    rows = read_csv(group.folder / CURVES)
    curves = _curves(rows, group.timing)
    return LandscapeGroup(
        name=group.name,
        curves=curves,
        panels=[_panel(curves, "steps"), _panel(curves, "seconds")],
        sentences=_sentences(curves),
        n=rows[0]["n"],
        sources=rows[0]["sources"],
        level=f"{float(rows[0]['level']):.0%}",
    )


def _curves(rows: Table, timing: Table) -> Curves:
    """Means over seeds; seconds are of one image from one start."""
    spent = {(row["method"], row["step"]): float(row["seconds"]) for row in timing}
    curves: dict[str, list[Step]] = {}
    for row in (row for row in rows if row["seed"] == ""):
        method = row["method"]
        starts = len({other["seed"] for other in rows if other["method"] == method}) - 1
        curves.setdefault(method, []).append(
            Step(
                step=int(row["step"]),
                seconds=spent[method, row["step"]] / (starts * int(row["n"])),
                loss=float(row["value"]),
                interval=(float(row["lo"]), float(row["hi"])) if row["lo"] else None,
            )
        )
    return curves


def _panel(curves: Curves, over: str) -> Panel:
    def x(step: Step) -> float:
        return step.step if over == "steps" else step.seconds

    bands = {}
    for name, steps in curves.items():
        known = [(x(step), step.interval) for step in steps if step.interval]
        if known:
            bands[name] = ([(at, ends[0]) for at, ends in known], [(at, ends[1]) for at, ends in known])
    ends = "; ".join(f"{name} from {short(steps[0].loss, 3)} to {short(steps[-1].loss, 3)}" for name, steps in curves.items())
    return curve_panel(
        f"Loss over {over}",
        {name: [(x(step), step.loss) for step in steps] for name, steps in curves.items()},
        description=f"Loss over {over}: {ends}",
        unit="steps" if over == "steps" else "s per image",
        show_x=lambda value: f"{value:.0f}" if over == "steps" or not value else short(value),
        bands=bands,
        left=0,
    )


def _sentences(curves: Curves) -> list[str]:
    """The final loss of each method, and after how many steps the first method reaches the loss of the others."""
    (first, base), *others = curves.items()
    sentences = [f"{first} reaches a loss of {short(base[-1].loss, 3)} in {base[-1].step} steps"]
    for name, steps in others:
        far = next((step.step for step in base if step.loss <= steps[-1].loss), None)
        needs = f"{first} does not reach it in {base[-1].step} steps" if far is None else f"{first} needs {far} steps for it"
        sentences.append(f"{name} reaches {short(steps[-1].loss, 3)} in {steps[-1].step} steps; {needs}")
    return sentences
