"""Which feature maps matter to decoders, from the stage `maps`: the cost of removing each group of maps, how few are enough."""

from collections.abc import Iterator

from relume.core.files import read_csv
from relume.report.blocks import Block, Chart, Part, Text
from relume.report.charts import dots, lines
from relume.report.columns import Column, column, number
from relume.report.data import Table, grouped
from relume.report.images import Drawing
from relume.report.labels import place

CHANGE = "_change"  # suffix of a metric's column: its mean difference from the decoding with all maps
LEAD = (
    "What a decoder loses without some of its feature maps. The maps of one tap are ranked on training pictures and split into"
    " groups of equal size, strongest first: by mean activation, or by contribution, the change of the decoder's picture when the"
    " map is removed. Other pictures are then decoded without a group, or with some groups only."
)


def parts(drawing: Drawing) -> Iterator[Part]:
    """A study per decoder, in the order of `metrics/maps/maps.csv`."""
    folder = drawing.data.folders.metrics / "maps"
    found = grouped(read_csv(folder / "maps.csv"), lambda row: row["decoder"])
    blocks = [block for name, rows in found.items() for block in _study(name, rows, drawing)]
    yield Part(id="maps", title="Which feature maps matter", lead=LEAD, blocks=blocks)


def _study(name: str, rows: Table, drawing: Drawing) -> Iterator[Block]:
    measured = [one for key in rows[0] if key.endswith(CHANGE) and number(rows[0][one := key.removesuffix(CHANGE)]) is not None]
    metric = column("psnr" if "psnr" in measured else measured[0])
    where = place(rows[0]["network"], rows[0]["tap"])
    rankings = [one for one in dict.fromkeys(row["ranking"] for row in rows) if one]
    yield Text(sentences=[f"{where}: {_alone(one, rows, metric)}" for one in rankings])
    for ranking in rankings:
        removed = [row for row in rows if row["ranking"] == ranking and row["action"] == "removed"]
        points = [_removal(row, metric.name) for row in removed]
        caption = f"The change of {metric.title} without each group of maps, strongest first by {ranking}; bars are intervals."
        spec = dots(points, "value", title=f"change of {metric.title}", levels=[("all maps", 0.0)])
        yield Chart(title=f"{where}: without a group, by {ranking}", spec=spec, caption=caption, height=22 * len(points))
    kept = [row for row in rows if row["action"] == "first"]
    points = [{"name": f"by {row['ranking']}", "maps": int(row["channels"]), "value": number(row[metric.name])} for row in kept]
    spec = lines(
        points, "maps", "value", order=[f"by {one}" for one in rankings], titles=("maps kept", metric.heading), points=True
    )
    yield Chart(
        title=f"{where}: with the strongest groups only", spec=spec, caption=f"{metric.title} over the number of maps kept."
    )
    caption = (
        f"For each ranking, pictures decoded from {where}: the original, with all maps, without each group, with each alone."
    )
    yield drawing.file(f"maps-{name}", drawing.data.folders.metrics / "maps" / f"{name}.jpg", caption)


def _alone(ranking: str, rows: Table, metric: Column) -> str:
    (alone,) = (row for row in rows if (row["ranking"], row["action"], row["group"]) == (ranking, "kept", "1"))
    reached = f"{metric.show(alone[metric.name])} of {metric.show(rows[0][metric.name])} {metric.unit}".strip()
    return f"the strongest {alone['channels']} of {rows[0]['channels']} maps by {ranking} alone reach {reached}."


def _removal(row: dict[str, str], metric: str) -> dict[str, object]:
    middle, lo, hi = (number(row[f"{metric}{CHANGE}{end}"]) for end in ("", "_lo", "_hi"))
    return {"name": f"group {row['group']}", "value": middle or 0.0, "lo": lo, "hi": hi, "kind": "method"}
