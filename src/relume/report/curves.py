"""Curves over steps: what was minimised, how a model was trained, how pictures got better."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from relume.report.blocks import Block, Chart, Fold, Text
from relume.report.charts import Levels, lines
from relume.report.columns import column, number, short
from relume.report.data import ReportData, Table, Trained, grouped, key_of
from relume.report.images import Drawing
from relume.report.labels import words
from relume.report.leaderboards import Leaderboard, Result

FIRST = ("objective", "loss", "kid", "psnr", "psnr_masked")  # charts of a training that are shown first; the others are folded
CURVES = {"train": "training", "val": "validation"}
DECADES, MOST = 1.3, 80  # a term that falls further is drawn on a logarithmic axis; points of a curve


def terms(trace: Table, names: Mapping[str, str] | None = None) -> list[Chart]:
    """A chart per term, a curve per method; those in FIRST come first."""
    found = grouped(trace, lambda row: row["term"])
    return [_term(term, found[term], names or {}) for term in sorted(found, key=lambda term: term not in FIRST)]


def _term(term: str, rows: Table, names: Mapping[str, str]) -> Chart:
    curves = grouped(rows, lambda row: names.get(row["method"], row["method"]))
    values = [float(row["value"]) for row in rows]
    low, high = min(values), max(values)
    log = low > 0 and math.log10(high / low) > DECADES
    title = column(term).title if term in FIRST else words(term)
    points: list[dict[str, object]] = [
        {"name": name, "step": float(row["step"]), "value": float(row["value"])}
        for name, curve in curves.items()
        for row in thinned(curve)
    ]
    spec = lines(points, "step", "value", order=list(curves), titles=("steps", title), log=(False, log))
    ends = (f"{name} from {short(curve[0]['value'], 3)} to {short(curve[-1]['value'], 3)}" for name, curve in curves.items())
    return Chart(title=f"{title}, logarithmic" if log else title, spec=spec, caption=f"{'; '.join(ends)}.", height=150)


def thinned(curve: Sequence[Any], most: int = MOST) -> list[Any]:
    """At most so many, evenly, both ends among them."""
    if len(curve) <= most:
        return list(curve)
    return [curve[round(at * (len(curve) - 1) / (most - 1))] for at in range(most)]


def training(name: str, trained: Trained, drawing: Drawing) -> Fold:
    """How a model was trained: facts, the curves of FIRST, its progress image. MLflow has the other terms."""
    kind = str(trained.card.get("kind", ""))
    trace = sorted(_curves(trained.history, kind), key=lambda row: row["method"] not in CURVES.values())
    blocks: list[Block] = [Text(sentences=list(_facts(trained.card))), *terms(trace)]
    if trained.image is not None:
        upper = "visible parts of validation pictures" if kind == "masked" else "validation pictures"
        lower = "samples" if kind == "gan" else "outputs"
        caption = f"During training. Above: {upper}. Below: {lower} of {name}."
        blocks.append(drawing.file(f"training-{name}", trained.image, caption))
    return Fold(title=f"Training of {name}", blocks=blocks)


def _curves(history: Table, kind: str) -> Iterator[dict[str, str]]:
    """`train/loss` and `val/loss` become two curves of the term `loss`; a generator is validated by KID; `val/floor_own_mean`, in
    dB, stands beside the validation metric.
    """
    metric = "psnr_masked" if any(row["term"].endswith("/psnr_masked") for row in history) else "psnr"
    for row in history:
        split, _, term = row["term"].rpartition("/")
        curve = CURVES.get(split or "train", split)
        if term.startswith("floor_"):
            curve, term = f"baseline: {words(term.removeprefix('floor_'))}", metric
        term = "kid" if (kind, row["term"]) == ("gan", "val/loss") else term
        if term in FIRST:
            yield {**row, "method": curve, "term": term}


def _facts(card: Mapping[str, Any]) -> Iterator[str]:
    data = card.get("data", {})
    if "train" in data:
        where = data.get("dataset", "its data")
        yield f"Trained on {data['train']:,} pictures of {where}, validated on {data.get('val', 0):,}."
    if "parameters" in card:
        yield f"{card['parameters']:,} parameters."
    if "best_step" in card:
        yield f"Best checkpoint at step {card['best_step']:,}."


def convergence(data: ReportData, board: Leaderboard) -> list[Chart]:
    """Quality over steps and over seconds; none where no intermediate step was measured. A single pass is a point."""
    rows = grouped(data.table("paths"), key_of)
    found = [(result, rows[result.key]) for result in board.methods if result.key in rows]
    if all(len(steps) < 2 for _, steps in found):
        return []
    return [
        chart for name in ("psnr", "lpips_vgg") for over in ("steps", "seconds") if (chart := _over(board, found, name, over))
    ]


def _over(board: Leaderboard, found: Sequence[tuple[Result, Table]], name: str, over: str) -> Chart | None:
    metric = column(name)
    points = [point for result, rows in found for point in _points(result, rows, name, over)]
    if not points:
        return None
    order = list(dict.fromkeys(str(point["name"]) for point in points))
    baseline = board.no_information
    level = None if baseline is None else number(baseline.cells[name])
    levels: Levels = [] if baseline is None or level is None else [(baseline.label, level)]
    unit = "steps" if over == "steps" else "seconds per picture"
    spec = lines(points, over, name, order=order, titles=(unit, metric.heading), log=(True, False), levels=levels, points=True)
    caption = f"{metric.title} of the picture so far, over {unit}; a method of one pass is a point."
    return Chart(title=f"{metric.title} over {unit}", spec=spec, caption=caption, height=300)


def _points(result: Result, rows: Table, metric: str, over: str) -> Iterator[dict[str, object]]:
    """A single pass without a measured time has the leaderboard's seconds."""
    whole = number(result.cells["seconds_per_image"]) if len(rows) == 1 else None
    for row in sorted(rows, key=lambda row: float(row["step"])):
        x, y = float(row["step"]), number(row.get(metric, ""))
        x = x if over == "steps" else number(row["seconds"]) or whole or 0
        if x and y is not None:
            yield {"name": result.name, over: x, metric: y}
