"""The page's section on descents in a generator's latent space: the loss over steps and over seconds, with and without theta."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from relume.core.files import read_csv
from relume.core.results import Group
from relume.report.charts import SHADES, short
from relume.report.material import Table

CURVES = "curves.csv"  # what tells such a group
COLUMNS = ("group", "method", "step", "seconds", "loss", "lo", "hi")  # of `landscape.csv`, for plots


@dataclass(frozen=True, kw_only=True)
class Place:
    """A method after a step: seconds per picture and start, the mean loss of the best so far, its interval where there is one."""

    step: int
    seconds: float
    loss: float
    interval: tuple[float, float] | None


Lines = Mapping[str, Sequence[Place]]  # by method, in the order of their colours


@dataclass(frozen=True, kw_only=True)
class Chart:
    over: str
    svg: Markup
    says: str
    top: str
    bottom: str
    last: str


@dataclass(frozen=True, kw_only=True)
class Landscapes:
    """One group."""

    name: str
    lines: Lines
    charts: list[Chart]
    told: list[str]
    n: str
    sources: str
    level: str  # of the intervals

    @property
    def methods(self) -> list[str]:
        return list(self.lines)


def section(groups: Sequence[Group]) -> list[Landscapes]:
    return [_landscapes(group) for group in groups if (group.folder / CURVES).exists()]


def table(found: Sequence[Landscapes]) -> list[dict[str, object]]:
    """Rows of COLUMNS."""
    return [
        {"group": one.name, "method": method, "step": place.step, "seconds": place.seconds, "loss": place.loss}
        | dict(zip(("lo", "hi"), place.interval or (), strict=False))
        for one in found
        for method, places in one.lines.items()
        for place in places
    ]


def _landscapes(group: Group) -> Landscapes:
    curves = read_csv(group.folder / CURVES)
    lines = _lines(curves, group.timing)
    return Landscapes(
        name=group.name,
        lines=lines,
        charts=[_chart(lines, "steps"), _chart(lines, "seconds")],
        told=_told(lines),
        n=curves[0]["n"],
        sources=curves[0]["sources"],
        level=f"{float(curves[0]['level']):.0%}",
    )


def _lines(curves: Table, timing: Table) -> Lines:
    """Of the means over seeds; seconds are of one picture from one start."""
    spent = {(row["method"], row["step"]): float(row["seconds"]) for row in timing}
    lines: dict[str, list[Place]] = {}
    for row in (row for row in curves if row["seed"] == ""):
        method = row["method"]
        starts = len({other["seed"] for other in curves if other["method"] == method}) - 1
        lines.setdefault(method, []).append(
            Place(
                step=int(row["step"]),
                seconds=spent[method, row["step"]] / (starts * int(row["n"])),
                loss=float(row["value"]),
                interval=(float(row["lo"]), float(row["hi"])) if row["lo"] else None,
            )
        )
    return lines


def _chart(lines: Lines, over: str) -> Chart:
    def along(place: Place) -> float:
        return place.step if over == "steps" else place.seconds

    places = [place for line in lines.values() for place in line]
    heights = [value for place in places for value in (place.loss, *(place.interval or ()))]
    low, high, end = min(heights), max(heights), max(along(place) for place in places)

    def points(pairs: Sequence[tuple[float, float]]) -> str:
        across, span = end or 1, (high - low) or 1
        return " ".join(f"{100 * x / across:.2f},{96 - 92 * (y - low) / span:.2f}" for x, y in pairs)

    parts = []
    for number, line in enumerate(lines.values()):
        known = [(along(place), place.interval) for place in line]
        lower = [(x, ends[0]) for x, ends in known if ends]
        upper = [(x, ends[1]) for x, ends in known if ends]
        shade = f"shade-{number % SHADES}"
        if lower:
            parts.append(f'<polygon class="band {shade}" points="{points([*lower, *reversed(upper)])}"/>')
        parts.append(f'<polyline class="line {shade}" points="{points([(along(place), place.loss) for place in line])}"/>')
    ends = "; ".join(f"{name} from {short(line[0].loss, 3)} to {short(line[-1].loss, 3)}" for name, line in lines.items())
    svg = f'<svg class="curve" role="img" viewBox="0 0 100 100" preserveAspectRatio="none">{"".join(parts)}</svg>'
    last = f"{end:.0f} steps" if over == "steps" else f"{short(end)} s per picture"
    return Chart(over=over, svg=Markup(svg), says=f"Loss over {over}: {ends}", top=short(high), bottom=short(low), last=last)


def _told(lines: Lines) -> list[str]:
    """Of each method but the first: what it reaches, and after how many steps the first has come as far."""
    (first, base), *others = lines.items()
    told = [f"{first} reaches a loss of {short(base[-1].loss, 3)} in {base[-1].step} steps"]
    for name, line in others:
        reached = f"{name} reaches {short(line[-1].loss, 3)} in {line[-1].step} steps"
        far = next((place.step for place in base if place.loss <= line[-1].loss), None)
        took = f"{first} does not come as far in {base[-1].step}" if far is None else f"{first} takes {far} to come as far"
        told.append(f"{reached}; {took}")
    return told
