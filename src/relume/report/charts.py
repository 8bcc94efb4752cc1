"""Charts as Vega-Lite specifications, once for the page, the paper and `dvc plots`.

`python -m relume.report.charts` writes the templates of `dvc plots` to `.dvc/plots`: the same charts with DVC's anchors for data.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
from altair.utils.schemapi import debug_mode

from relume.core.files import write_json

Rows = Sequence[Mapping[str, object]] | str  # data, or DVC's anchor for them
Levels = Sequence[tuple[str, float]]  # horizontal or vertical lines: name, value
PALETTE = ["#3b78b5", "#d9772b", "#3d9470", "#9a67ad", "#b08a10", "#c8506b", "#4aa3b8", "#8d7866", "#7a8f3c", "#b06fb0"]
BASE, BASELINE, ORACLE = PALETTE[0], "#8d877c", "#c07a1c"
KINDS = {"method": BASE, "baseline": BASELINE, "oracle run": ORACLE}
SHAPES = ["circle", "diamond", "square", "triangle-up", "cross", "triangle-down", "stroke"]
BESIDE = "Points are shifted sideways so that none hides another. "  # the caption of `taps` with several names
DIGITS, MANY = 5, 7  # of numbers in a specification; taps whose names are written at an angle
DVC, AXES = Path(".dvc/plots"), {"methods": (False, False), "methods_log": (True, False)}  # templates; logarithmic axes


def theme(
    font: str, ink: str = "#1c1c1a", soft: str = "#66625b", line: str = "#e3dfd8", size: int = 12, orient: str = "bottom"
) -> dict[str, Any]:
    """The `config` of all charts in one place: the page's script has one for light and one for dark."""
    axis = {"gridColor": line, "domainColor": line, "tickColor": line, "labelColor": soft, "titleColor": soft}
    text = {"labelFontSize": size, "titleFontSize": size, "titleFontWeight": "normal", "aria": False}
    keys = {"labelColor": ink, "titleColor": soft, "symbolStrokeWidth": 2, "symbolOpacity": 1}
    return {
        **{"background": "transparent", "font": font, "view": {"stroke": None}},
        **{
            "mark": {"aria": False},
            "axis": axis | text,
            "legend": keys | text | {"columns": 1, "labelLimit": 340, "orient": orient},
        },
        **{"text": {"color": soft, "fontSize": size - 1}, "rule": {"color": BASELINE}, "range": {"category": PALETTE}},
    }


@debug_mode(False)  # checked in tests
def lines(
    rows: Rows,
    x: str,
    y: str,
    *,
    color: str = "name",
    titles: tuple[str, str] = ("", ""),
    order: Sequence[str] = (),
    log: tuple[bool, bool] = (False, False),
    band: bool = False,
    levels: Levels = (),
    points: bool = False,
    dash: str = "",
) -> dict[str, Any]:
    """A line per `color` over a quantity; with `band`, between columns `lo` and `hi`."""
    dashes: dict[str, Any] = {"strokeDash": alt.StrokeDash(f"{dash}:N", title="")} if dash else {}
    if len(order) > len(PALETTE):  # colours come again, dashed
        scale = _scale(order, [[1 + 4 * (at // len(PALETTE)), 3 * (at // len(PALETTE))] for at in range(len(order))])
        dashes = {"strokeDash": alt.StrokeDash(field=color, type="nominal", title="", scale=scale)}
    base = alt.Chart().encode(
        x=_axis(alt.X, x, titles[0], log[0], zero=False),
        y=_axis(alt.Y, y, titles[1], log[1], zero=False),
        color=_color(color, order),
        **dashes,
    )
    layers = [base.mark_area(opacity=0.15).encode(y=_axis(alt.Y, "lo", titles[1], log[1], zero=False), y2="hi:Q")] if band else []
    layers.append(base.mark_line(point=points, strokeWidth=2, tooltip={"content": "data"}))
    return _spec(alt.layer(*layers, *_levels(levels, "y"), data=_data(rows)))


@debug_mode(False)
def taps(
    rows: Rows,
    y: str,
    *,
    order: Sequence[str],
    names: Mapping[str, str],
    title: str,
    levels: Levels = (),
    bound: Rows = (),
    **options: Any,
) -> dict[str, Any]:
    """Over a network's taps from shallow to deep: points with their intervals `lo` to `hi`; a line joins those with `joined`.

    `names`: of each name its family, which has one colour; the first name of a family is a circle, others have other shapes.
    `bound`: a dashed line in steps, column `bound`.
    """
    families = list(dict.fromkeys(names.values()))
    legend: dict[str, Any] = {} if len(names) > 1 else {"legend": None}
    nth = {name: [*names].index(name) - [*names.values()].index(family) for name, family in names.items()}
    colors = [PALETTE[families.index(family) % len(PALETTE)] for family in names.values()]
    shapes = [SHAPES[nth[name] % len(SHAPES)] for name in names]
    x = alt.X("tap:N", sort=list(order), title="", axis=alt.Axis(labelAngle=0 if len(order) < MANY else -40, grid=False))
    shift: dict[str, Any] = {"xOffset": alt.XOffset("name:N", sort=list(names))} if len(names) > 1 else {}
    base = alt.Chart().encode(x=x, color=alt.Color("name:N", title="", scale=_scale(names, colors), **legend), **shift)
    value = _axis(alt.Y, y, title, zero=False, **options)
    steps = alt.Chart(_data(bound)).mark_line(interpolate="step", color=BASELINE, strokeDash=[5, 3])
    joined = base.transform_filter("datum.joined").mark_line(strokeWidth=1.5, opacity=0.6).encode(y=value)
    spans = base.transform_filter("isValid(datum.lo)").mark_rule(strokeWidth=2).encode(y="lo:Q", y2="hi:Q")
    told = [alt.Tooltip(field=one, type="nominal") for one in (rows[0] if rows else ()) if one != "joined"]
    shape = alt.Shape("name:N", title="", scale=_scale(names, shapes), **legend)
    marks = base.mark_point(filled=True, size=80, opacity=1).encode(y=value, shape=shape, tooltip=told)
    layers = [*([steps.encode(x=x, y="bound:Q")] if bound else []), joined, *([spans] if _spanned(rows) else []), marks]
    return _spec(alt.layer(*layers, *_levels(levels, "y"), data=_data(rows)))


@debug_mode(False)
def dots(rows: Sequence[Mapping[str, object]], x: str, *, title: str = "", levels: Levels = ()) -> dict[str, Any]:
    """A forest plot: a row per name in the data's order, with the interval `lo` to `hi`; a colour per `kind`."""
    kinds = [kind for kind in KINDS if any(row["kind"] == kind for row in rows)]
    legend: dict[str, Any] = {} if len(kinds) > 1 else {"legend": None}
    color = alt.Color("kind:N", scale=alt.Scale(domain=kinds, range=[KINDS[kind] for kind in kinds]), title="", **legend)
    base = alt.Chart().encode(y=_names("name", [row["name"] for row in rows]), color=color)
    spans = base.mark_rule(strokeWidth=2).encode(x="lo:Q", x2="hi:Q")
    marks = base.mark_point(filled=True, size=70, opacity=1, tooltip={"content": "data"})
    layers = [*([spans] if _spanned(rows) else []), marks.encode(x=_axis(alt.X, x, title, zero=False)), *_levels(levels, "x")]
    return _spec(alt.layer(*layers, data=_data(rows)))


def _spanned(rows: Rows) -> bool:
    return any(row.get("lo") is not None for row in rows if not isinstance(row, str))


def _names(field: str, sort: Any) -> alt.Y:
    return alt.Y(field=field, type="nominal", sort=sort, title="", axis=alt.Axis(labelLimit=320, grid=True))


@debug_mode(False)
def heat(rows: Rows, order: Sequence[str]) -> dict[str, Any]:
    """A matrix of rank correlations `a`, `b`, `rho` in -1 to 1."""
    base = alt.Chart(_data(rows)).encode(
        x=alt.X("a:N", sort=list(order), title="", axis=alt.Axis(labelAngle=-40)), y=alt.Y("b:N", sort=list(order), title="")
    )
    scale = alt.Scale(domain=[-1, 0, 1], range=["#d9772b", "#f3f0eb", "#3b78b5"])
    squares = base.mark_rect(tooltip={"content": "data"}).encode(color=alt.Color("rho:Q", scale=scale, title="", legend=None))
    return _spec(squares + base.mark_text(fontSize=10, color="#1c1c1a").encode(text=alt.Text("rho:Q", format=".2f")))


def _axis(kind: Any, name: str, title: str, log: bool = False, *, zero: bool, format: str = "", domain: Any = None) -> Any:
    scale = {**({"type": "log"} if log else {"zero": zero}), **({"domain": domain} if domain else {})}
    axis = {"axis": alt.Axis(format=format)} if format else {}
    return kind(field=name, type="quantitative", title=title, scale=alt.Scale(**scale), **axis)


def _color(name: str, order: Sequence[str]) -> alt.Color:
    """In a fixed order, so that a name has its colour; DVC's plots know no order."""
    if not order:
        return alt.Color(
            field=name, type="nominal", title="", scale=alt.Scale(scheme="tableau20"), legend=alt.Legend(symbolLimit=0)
        )
    colors = [PALETTE[at % len(PALETTE)] for at in range(len(order))]
    legend: dict[str, Any] = {} if len(order) > 1 else {"legend": None}
    return alt.Color(field=name, type="nominal", title="", scale=_scale(order, colors), **legend)


def _scale(names: Iterable[str], values: list[Any]) -> alt.Scale:
    return alt.Scale(domain=list(names), range=values)


def _levels(levels: Levels, side: str) -> list[alt.Chart]:
    """Dashed lines with their names."""
    found: list[alt.Chart] = []
    for name, value in levels:
        base = alt.Chart(alt.Data(values=[{"level": name, "value": round(value, DIGITS)}])).encode(**{side: "value:Q"})
        at_side, at_top = {"align": "left", "x": 0, "dy": -5, "dx": 3}, {"align": "left", "y": 0, "dx": 4, "dy": 4}
        place: dict[str, Any] = at_side if side == "y" else at_top
        found += [base.mark_rule(strokeDash=[4, 3]), base.mark_text(**place).encode(text="level:N")]
    return found


def _data(rows: Rows) -> alt.Data:
    if isinstance(rows, str):
        return alt.Data(values=rows)
    return alt.Data(values=[{name: _short(value) for name, value in row.items() if value is not None} for row in rows])


def _short(value: object) -> object:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _spec(chart: Any) -> dict[str, Any]:
    with alt.data_transformers.enable(consolidate_datasets=False):
        spec: dict[str, Any] = chart.to_dict(validate=False)
    return {name: value for name, value in spec.items() if name != "config"}


def dvc_templates() -> dict[str, dict[str, Any]]:
    """Name -> a chart with DVC's anchors: a colour per method or family, and a dash or shape per revision."""
    data, x, y = (f"<DVC_METRIC_{name}>" for name in ("DATA", "X", "Y"))
    titles = ("<DVC_METRIC_X_LABEL>", "<DVC_METRIC_Y_LABEL>")
    found = {
        name: lines(data, x, y, color="method", titles=titles, log=log, points=True, dash="rev") for name, log in AXES.items()
    }
    marks = alt.Chart(_data(data)).mark_point(filled=True, size=70, opacity=1, tooltip={"content": "data"})
    base = marks.encode(x=_axis(alt.X, x, titles[0], zero=False), color=_color("family", ()), shape=alt.Shape("rev:N", title=""))
    orders = {"scores": alt.EncodingSortField(field=x, op="mean", order="descending"), "names": "ascending"}
    found |= {name: _spec(base.encode(y=_names(y, order))) for name, order in orders.items()}
    size = {name: f"<DVC_METRIC_PLOT_{name.upper()}>" for name in ("width", "height")}
    return {name: spec | size | {"title": "<DVC_METRIC_TITLE>"} for name, spec in found.items()}


if __name__ == "__main__":
    for name, spec in dvc_templates().items():
        write_json(DVC / f"{name}.json", spec)
