"""Which feature maps matter, from the stage `maps`: the cost of removing each group of maps, and how few are enough."""

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from relume.core.errors import UserError
from relume.core.files import read_csv
from relume.report.charts import BarScale, Panel, curve_panel, short, ticks
from relume.report.columns import MINUS, Column, column, number, signed
from relume.report.data import Table
from relume.report.images import EmbeddedImage, embedded_image

CHANGE = "_change"  # suffix of a metric's column: its mean difference from the decoding with all maps
LABELLED = 7  # from this many ticks on, only every second is labelled
TITLES = {"intact": "all maps", "removed": "without group", "kept": "group alone", "first": "strongest groups"}


@dataclass(frozen=True, kw_only=True)
class Removal:
    """The decoding without one group of maps."""

    group: str
    channels: str
    bar: Markup
    change: str
    interval: str  # empty where there is none


@dataclass(frozen=True, kw_only=True)
class MapRanking:
    name: str
    removals: list[Removal]
    text: str  # what the strongest group reaches alone


@dataclass(frozen=True, kw_only=True)
class MapsStudy:
    """One decoder."""

    name: str
    fill: str
    metric: Column  # of the bars and curves
    rankings: list[MapRanking]
    axis: Markup
    curves: Panel  # the metric over the number of strongest maps kept, a curve per ranking
    sheet: EmbeddedImage
    columns: list[Column]
    table: Table


def section(folder: Path) -> list[MapsStudy]:
    """`metrics/maps/`, a study per decoder in the order of the file."""
    found: dict[str, Table] = {}
    for row in read_csv(folder / "maps.csv"):
        found.setdefault(row["decoder"], []).append(row)
    return [_study(name, rows, folder / f"{name}.jpg") for name, rows in found.items()]


def _study(name: str, rows: Table, sheet: Path) -> MapsStudy:
    if not sheet.is_file():
        raise UserError(f"{sheet} is missing: the stage that writes it has not run")
    first = rows[0]
    named = [key.removesuffix(CHANGE) for key in first if key.endswith(CHANGE)]
    measured = [one for one in named if number(first[one]) is not None]  # small images have no SSIM
    metric = column("psnr" if "psnr" in measured else measured[0])
    removed = [value for row in rows if row["action"] == "removed" for value in _values(row, metric.name) if value is not None]
    scale = BarScale(ticks=ticks(min(0.0, *removed), max(0.0, *removed)))
    step = 1 if len(scale.ticks) < LABELLED else 2
    return MapsStudy(
        name=name,
        fill="their mean over training images" if first["fill"] == "mean" else "0",
        metric=metric,
        rankings=[_ranking(one, rows, metric, scale) for one in dict.fromkeys(row["ranking"] for row in rows) if one],
        axis=scale.axis(short, scale.ticks[scale.ticks.index(0) % step :: step]),  # 0 is always labelled
        curves=_curves(rows, metric),
        sheet=embedded_image(sheet),
        columns=[column(one) for one in measured],
        table=rows,
    )


def _ranking(name: str, rows: Table, metric: Column, scale: BarScale) -> MapRanking:
    mine = {(row["action"], row["group"]): row for row in rows if row["ranking"] == name}
    alone, whole = mine["kept", "1"], rows[0]
    reached = f"{metric.show(alone[metric.name])} of {metric.show(whole[metric.name])}{metric.unit and f' {metric.unit}'}"
    return MapRanking(
        name=name,
        removals=[_removal(row, metric, scale) for (action, _), row in mine.items() if action == "removed"],
        text=f"The strongest {alone['channels']} of {whole['channels']} maps by {name} alone reach {reached}",
    )


def _removal(row: dict[str, str], metric: Column, scale: BarScale) -> Removal:
    middle, lo, hi = _values(row, metric.name)
    return Removal(
        group=row["group"],
        channels=row["channels"],
        bar=scale.bar("method", middle, None if lo is None or hi is None else (lo, hi), 0),
        change=_change(middle, metric.digits),
        interval=_interval(row, metric),
    )


def _change(value: float, digits: int) -> str:
    text = signed(value, digits)
    return text if text.startswith(MINUS) or not float(text) else f"+{text}"


def _values(row: dict[str, str], metric: str) -> tuple[float, float | None, float | None]:
    middle, lo, hi = (number(row[f"{metric}{CHANGE}{end}"]) for end in ("", "_lo", "_hi"))
    return middle or 0.0, lo, hi


def _interval(row: dict[str, str], metric: Column) -> str:
    _, lo, hi = _values(row, metric.name)
    return "" if lo is None or hi is None else f"{signed(lo, metric.digits)} to {signed(hi, metric.digits)}"


def _curves(rows: Table, metric: Column) -> Panel:
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in (row for row in rows if row["action"] == "first"):
        curves.setdefault(row["ranking"], []).append((float(row["channels"]), float(row[metric.name])))
    counts = [count for curve in curves.values() for count, _ in curve]
    ends = [f"by {name} from {metric.show(curve[0][1])} to {metric.show(curve[-1][1])}" for name, curve in curves.items()]
    kept = f"with the strongest {min(counts):.0f} to {max(counts):.0f} maps kept"
    description = f"{metric.title} {kept}: {'; '.join(ends)}"
    title = f"With the strongest groups only, {metric.title}"
    return curve_panel(title, curves, description=description, unit="maps", show=metric.show)


def decoding(row: dict[str, str]) -> str:
    """What was decoded, in words."""
    title = TITLES[row["action"]]
    return f"{row['ranking']}: {title} {row['group']}" if row["ranking"] else title


def change(row: dict[str, str], metric: Column) -> str:
    """The change of a metric with its interval; empty for the intact decoding."""
    if number(row[f"{metric.name}{CHANGE}"]) is None:
        return ""
    interval = _interval(row, metric)
    return f"{_change(_values(row, metric.name)[0], metric.digits)}{f' ({interval})' if interval else ''}"
