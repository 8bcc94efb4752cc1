"""Which feature maps matter, from the stage `maps`: what each group of maps costs, how few are enough, and the pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from relume.core.errors import UserError
from relume.core.files import read_csv
from relume.report.charts import SHADES, short, ticks
from relume.report.columns import MINUS, Column, column, number, signed
from relume.report.material import Table
from relume.report.pictures import Photo, photo

CHANGE = "_change"  # ending of a metric's column: its mean difference from the decoding with all maps
LABELLED = 7  # so many ticks are too many to name
TITLES = {"intact": "all maps", "removed": "without group", "kept": "group alone", "first": "strongest groups"}


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A group of maps removed: what it costs."""

    group: str
    channels: str
    bar: Markup
    change: str
    interval: str  # empty where there is none


@dataclass(frozen=True, kw_only=True)
class Ranking:
    name: str
    cuts: list[Cut]
    enough: str  # how far the strongest group goes alone


@dataclass(frozen=True, kw_only=True)
class Curves:
    """A metric over the number of maps kept, the strongest first, a line per ranking."""

    svg: Markup
    says: str
    top: str
    bottom: str
    first: str
    last: str


@dataclass(frozen=True, kw_only=True)
class Dissected:
    """One decoder."""

    name: str
    place: str
    network: str
    n: str
    sources: str
    fill: str
    metric: Column  # that bars and curves are of
    rankings: list[Ranking]
    axis: Markup
    curves: Curves
    sheet: Photo
    columns: list[Column]
    table: Table


def section(folder: Path) -> list[Dissected]:
    """`metrics/maps/`, a part per decoder in the order of the file; none where no decoder was looked into."""
    found: dict[str, Table] = {}
    for row in read_csv(folder / "maps.csv"):
        found.setdefault(row["decoder"], []).append(row)
    return [_dissected(name, rows, folder / f"{name}.jpg") for name, rows in found.items()]


def _dissected(name: str, rows: Table, sheet: Path) -> Dissected:
    if not sheet.exists():
        raise UserError(f"{sheet} is missing: the stage that writes it has not run")
    first = rows[0]
    named = [key.removesuffix(CHANGE) for key in first if key.endswith(CHANGE)]
    measured = [one for one in named if number(first[one]) is not None]  # small pictures have no SSIM
    metric = column("psnr" if "psnr" in measured else measured[0])
    removed = [row for row in rows if row["action"] == "removed"]
    scale = _scale(removed, metric.name)
    return Dissected(
        name=name,
        place=f"{first['tap']} of {first['network']}",
        network=first["network"],
        n=first["n"],
        sources=first["sources"],
        fill="their mean over training pictures" if first["fill"] == "mean" else "0",
        metric=metric,
        rankings=[_ranking(one, rows, metric, scale) for one in _rankings(rows)],
        axis=_axis(scale),
        curves=_curves(rows, metric),
        sheet=photo(sheet),
        columns=[column(one) for one in measured],
        table=rows,
    )


def _rankings(rows: Table) -> list[str]:
    return list(dict.fromkeys(row["ranking"] for row in rows if row["ranking"]))


def _ranking(name: str, rows: Table, metric: Column, scale: Sequence[float]) -> Ranking:
    mine = {(row["action"], row["group"]): row for row in rows if row["ranking"] == name}
    alone, whole = mine["kept", "1"], rows[0]
    kept = f"{metric.show(alone[metric.name])} of {metric.show(whole[metric.name])}{metric.unit and f' {metric.unit}'}"
    return Ranking(
        name=name,
        cuts=[_cut(row, metric, scale) for (action, _), row in mine.items() if action == "removed"],
        enough=f"The strongest {alone['channels']} of {whole['channels']} maps by {name} alone give {kept}",
    )


def _cut(row: dict[str, str], metric: Column, scale: Sequence[float]) -> Cut:
    middle, lo, hi = _values(row, metric.name)
    ends = "" if lo is None or hi is None else f"{signed(lo, metric.digits)} to {signed(hi, metric.digits)}"
    return Cut(
        group=row["group"],
        channels=row["channels"],
        bar=_bar(scale, middle, lo, hi),
        change=_change(middle, metric.digits),
        interval=ends,
    )


def _change(value: float, digits: int) -> str:
    text = signed(value, digits)
    return text if text.startswith(MINUS) or not float(text) else f"+{text}"


def _values(row: dict[str, str], metric: str) -> tuple[float, float | None, float | None]:
    middle = number(row[f"{metric}{CHANGE}"])
    return middle or 0.0, number(row[f"{metric}{CHANGE}_lo"]), number(row[f"{metric}{CHANGE}_hi"])


def _scale(rows: Table, metric: str) -> list[float]:
    """Ticks from the lowest to the highest of all changes, 0 among them."""
    values = [0.0, *(value for row in rows for value in _values(row, metric) if value is not None)]
    return ticks(min(values), max(values))


def _at(scale: Sequence[float], value: float) -> str:
    return f"{2 + 96 * (value - scale[0]) / (scale[-1] - scale[0]):.2f}%"


def _bar(scale: Sequence[float], middle: float, lo: float | None, hi: float | None) -> Markup:
    inside = "".join(f'<line class="rule" x1="{_at(scale, one)}" x2="{_at(scale, one)}" y1="0" y2="100%"/>' for one in scale)
    inside += f'<line class="floor-line" x1="{_at(scale, 0)}" x2="{_at(scale, 0)}" y1="0" y2="100%"/>'
    if lo is not None and hi is not None:
        inside += f'<line class="interval" x1="{_at(scale, lo)}" x2="{_at(scale, hi)}" y1="50%" y2="50%"/>'
    inside += f'<circle class="dot" cx="{_at(scale, middle)}" cy="50%" r="5"/>'
    return Markup(f'<svg class="bar" aria-hidden="true" focusable="false"><g class="method">{inside}</g></svg>')


def _axis(scale: Sequence[float]) -> Markup:
    step = 1 if len(scale) < LABELLED else 2
    shown = scale[scale.index(0) % step :: step]  # 0 is always among them
    labels = "".join(f'<text x="{_at(scale, one)}" y="14" text-anchor="middle">{short(one)}</text>' for one in shown)
    return Markup(f'<svg class="axis" aria-hidden="true" focusable="false">{labels}</svg>')


def _curves(rows: Table, metric: Column) -> Curves:
    drawn: dict[str, list[tuple[float, float]]] = {}
    for row in (row for row in rows if row["action"] == "first"):
        drawn.setdefault(row["ranking"], []).append((float(row["channels"]), float(row[metric.name])))
    counts, values = zip(*(pair for curve in drawn.values() for pair in curve), strict=True)
    left, right, low, high = min(counts), max(counts), min(values), max(values)

    def point(count: float, value: float) -> str:
        return f"{100 * (count - left) / ((right - left) or 1):.2f},{96 - 92 * (value - low) / ((high - low) or 1):.2f}"

    lines = "".join(
        f'<polyline class="line shade-{at % SHADES}" points="{" ".join(point(*pair) for pair in curve)}"/>'
        for at, curve in enumerate(drawn.values())
    )
    ends = [
        f"by {name} from {metric.show(str(curve[0][1]))} to {metric.show(str(curve[-1][1]))}" for name, curve in drawn.items()
    ]
    return Curves(
        svg=Markup(f'<svg class="curve" role="img" viewBox="0 0 100 100" preserveAspectRatio="none">{lines}</svg>'),
        says=f"{metric.title} with the strongest {left:.0f} to {right:.0f} maps kept: {'; '.join(ends)}",
        top=metric.show(str(high)),
        bottom=metric.show(str(low)),
        first=f"{left:.0f}",
        last=f"{right:.0f} maps",
    )


def decoding(row: dict[str, str]) -> str:
    """What was decoded, in words."""
    title = TITLES[row["action"]]
    return f"{row['ranking']}: {title} {row['group']}" if row["ranking"] else title


def change(row: dict[str, str], metric: Column) -> str:
    """The change of a metric with its interval; empty for the intact decoding."""
    if number(row[f"{metric.name}{CHANGE}"]) is None:
        return ""
    middle, lo, hi = _values(row, metric.name)
    ends = "" if lo is None or hi is None else f" ({signed(lo, metric.digits)} to {signed(hi, metric.digits)})"
    return f"{_change(middle, metric.digits)}{ends}"
