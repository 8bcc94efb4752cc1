"""What is folded below the first screens: all pictures, scores, comparisons, quality over time, and how it was made."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from relume.core.files import read_json
from relume.report import labels
from relume.report.blocks import Block, Cell, Chart, Part, Pictures, Row, Table, Text, kept, table
from relume.report.charts import lines
from relume.report.columns import COLUMNS, Column, column, signed, text
from relume.report.data import ReportData, grouped, key_of
from relume.report.data import Table as Rows
from relume.report.depths import verdict
from relume.report.images import Drawing
from relume.report.leaderboards import Leaderboard
from relume.report.story import METRICS, Story

GLOSSARY = {
    "baseline": "A picture made without features. A no-information baseline has not seen the original (the dataset's mean"
    " colour); an oracle baseline is computed from it (a mosaic of its mean colours).",
    "oracle": "A run that has seen the picture itself, not only its features. It is never ranked best.",
    "below linear": "A linear map of the same features, or of the visible pixels, is at least as good by the same score.",
    "interval": "Bootstrap interval of the mean. Photographs (sources) are resampled: crops of one are not independent. With"
    " few of them it is rough. A difference whose interval includes zero is undecided.",
    "published rule": "How multi-objective inversion, a published project, updates the picture.",
    "tap": "The layer whose features were inverted. Its name means after the ReLU, with _pre before it.",
}
GROUPS = [text("name", "Group"), text("methods", "Methods"), text("code", "Hash of code"), text("params", "Hash of parameters")]
MODELS = [text("name", "Model"), text("kind", "Kind"), text("features", "Given"), text("dataset", "Trained on")]
MODELS += [column("parameters")]
MODELS += [Column(name=name, title=title, digits=0) for name, title in (("train", "n, training"), ("val", "n, validation"))]
MODELS += [text("steps", "Best step"), text("score", "Validation"), text("baselines", "Baselines")]
SCORES = ("psnr", "psnr_masked", "similarity")  # of a validation; a generator's loss is KID


def parts(stories: Sequence[Story], drawing: Drawing) -> Iterator[Part]:
    """Of the leaderboards."""
    boards, data, level = [story.board for story in stories], drawing.data, drawing.level
    depth = kept(*(story.by_depth(network, name) for story in stories for network in story.networks for name in METRICS))
    yield Part(id="depth", title="Every network by depth", lead="Three metrics over the taps of each network.", blocks=depth)
    lead = "The same pictures by every method and, below, each method's best, median and worst by PSNR."
    yield Part(id="images", title="All pictures", lead=lead, blocks=[b for s in stories for b in _pictures(s, drawing.count)])
    blocks: list[Block] = [block for board in boards for block in (board.forest("Mean PSNR", level), board.table(level))]
    yield Part(id="tables", title="All scores", lead="Every method and baseline under every metric.", blocks=blocks)
    lead = f"Two methods on the same pictures, with {level} intervals over sources: crops of one photograph are not independent."
    yield Part(id="comparisons", title="Comparisons", lead=lead, blocks=comparisons(data.comparisons, boards))
    lead = "The quality of intermediate pictures. Seconds are per picture, on the device named with each method."
    curves = [chart for story in stories for chart in convergence(story)]
    yield Part(id="convergence", title="Quality over steps and seconds", lead=lead, blocks=curves)


def _pictures(story: Story, count: int) -> Iterator[Pictures]:
    board, ids = story.board, story.ids(count)
    shown = [*(board.methods or board.rows), *filter(None, [board.no_information])]
    rows = [story.originals(ids)]
    rows += [(Cell(text=one.label, under=one.place, marks=one.marks), story.tiles(one, ids)) for one in shown]
    caption = "The same pictures by every method, with their PSNR; chosen without knowledge of the scores."
    yield Pictures(id=f"all-{board.id}", title=board.title, rows=rows, caption=caption, wipe=True, style="dense")
    ranked: list[Row] = []
    for one in board.methods:
        psnr = story.drawing.data.entries[one.key].psnr
        if order := sorted(psnr, key=lambda id: -psnr[id]):
            chosen = (order[0], order[(len(order) - 1) // 2], order[-1])
            tiles = [tile for id in chosen for tile in (story.drawing.original(board.dataset, id), story.tile(one, id))]
            ranked.append((Cell(text=one.label, under=one.place), tiles))
    title, heads = f"{board.title}: best, median and worst", [head for one in ("Best", "Median", "Worst") for head in (one, "")]
    caption = "Each method's best, median and worst picture by PSNR: the original, then its reconstruction."
    yield Pictures(id=f"range-{board.id}", title=title, rows=ranked, caption=caption, heads=heads, style="dense")


def comparisons(rows: Rows, boards: Sequence[Leaderboard]) -> list[Block]:
    """The questions of the parameters, then every method against the baselines."""
    names = {one.method: one.name for board in boards for one in board.rows}
    asked = [row for row in rows if " " not in row["question"].partition(", ")[0]]
    found = {"Methods against each other": asked, "Methods against baselines": [row for row in rows if row not in asked]}
    return [_compared(title, own, names) for title, own in found.items() if own] or [Text(sentences=["Nothing was compared."])]


def _compared(title: str, rows: Rows, names: Mapping[str, str]) -> Table:
    """A row for each method and what it is compared with, a column for each metric."""
    keys = ("a", "question", "dataset", "size", "network", "tap")
    metrics = [column(name) for name in dict.fromkeys(row["metric"] for row in rows)]
    columns, cells = [text("a", "Method"), text("b", "Compared with"), *metrics], []
    for (a, question, dataset, size, *_), own in grouped(rows, lambda row: tuple(row[name] for name in keys)).items():
        on = ", ".join(filter(None, (dataset, f"{size} px", question.partition(", ")[2], f"n = {own[0]['n']}")))
        named = {key: names.get(key) or labels.words(key) for key in (a, *(row["b"] for row in own))}
        others = [*dict.fromkeys(named[row["b"]] for row in own)]
        found = {row["metric"]: _difference(row, named[row["b"]] if len(others) > 1 else "") for row in own}
        first = (Cell(text=named[a], under=on), Cell(text=others[0] if len(others) == 1 else "best no-information baseline"))
        cells.append([*first, *(found.get(one.name, Cell(text="")) for one in metrics)])
    note = "The method minus the other, on the same pictures, with intervals. Better or worse: the interval excludes zero."
    return Table(id=title.lower().replace(" ", "-"), title=title, columns=columns, rows=cells, note=note)


def _difference(row: Mapping[str, str], other: str) -> Cell:
    metric = column(row["metric"])
    interval = f"{metric.show(row['lo'])} to {metric.show(row['hi'])}" if row["lo"] else ""
    under = "; ".join(filter(None, (interval, other)))
    return Cell(text=metric.show(row["diff"]), under=under, marks=(verdict(row),), value=row["diff"])


def convergence(story: Story) -> Iterator[Chart]:
    """Quality over steps and over seconds, for each place where intermediate steps were measured."""
    rows = grouped(story.drawing.data.table("paths"), key_of)
    found = grouped(((one, rows[one.key]) for one in story.board.methods if one.key in rows), lambda pair: pair[0].place)
    for where, curves in found.items():
        order = [one.label for one, _ in curves]
        for name in ("psnr", "lpips_vgg") if any(len(steps) > 1 for _, steps in curves) else ():
            for over, unit in (("step", "steps"), ("seconds", "seconds per picture")):
                points = [
                    {"name": result.label, over: float(row[over]), name: float(row[name])}
                    for result, steps in curves
                    for row in sorted(steps, key=lambda row: int(row["step"]))
                    if row[over] and row.get(name)
                ]
                titles, levels = (unit, column(name).heading), story.levels(name)
                spec = lines(points, over, name, order=order, titles=titles, log=(True, False), levels=levels, points=True)
                title = f"{where or story.board.title}: {column(name).title} over {unit}"
                caption = f"{column(name).title} of the picture so far, over {unit}; a method of one pass is a point."
                yield from [Chart(title=title, spec=spec, caption=caption)] if points else []


def making(data: ReportData) -> Part:
    """How every group was made, and how every model was trained."""
    groups = [
        {name: str(group.method.get(name, "")) for name in ("code", "params")}
        | {"name": group.name, "methods": ", ".join(dict.fromkeys(row["method"] for row in group.index))}
        for group in data.groups
    ]
    cards = [(path.parent, read_json(path)) for path in sorted(data.folders.models.glob("*/*/model.json"))]
    models = [_model(folder, card) for folder, card in cards if "kind" in card]  # not weights of networks
    note = "All parameters: metrics/runs/<group>/method.json. Seconds and devices: All scores."
    blocks = [table("groups", "Groups of pictures", GROUPS, groups, note=note)]
    note = "Best step: the one that was kept. Validation: its score. MLflow shows the curves of each training."
    blocks += [table("models", "Trained models", MODELS, models, note=note)] if models else []
    return Part(id="methods", title="How it was made", lead="Hashes of groups, and the training of each model.", blocks=blocks)


def _model(folder: Path, card: Mapping[str, Any]) -> dict[str, str]:
    config, data, metrics = card["config"], card.get("data", {}), card["metrics"]
    scores = {
        **{name: metrics[name] for name in SCORES if name in metrics},
        **({"kid": metrics["loss"]} if card["kind"] == "gan" and metrics else {}),
    }
    floors = [f"{labels.words(key)} {signed(value, 2)}" for key, value in metrics.items() if key.startswith(labels.BASELINE)]
    return {
        **{"name": folder.name, "kind": labels.words(folder.parent.name), "parameters": str(card["parameters"])},
        **{"features": labels.place(config.get("network", ""), "+".join(config.get("taps", ()))), "baselines": ", ".join(floors)},
        **{name: str(data.get(name, "")) for name in ("dataset", "train", "val")},
        "steps": f"{card['best_step']} of {config.get('training', {}).get('steps', '')}" if "best_step" in card else "",
        "score": "; ".join(f"{column(name).title} {column(name).show(value)}" for name, value in scores.items()),
    }


def reading(families: Mapping[str, str]) -> Part:
    """The glossary: words, kinds of methods, metrics."""
    known = [(one.heading, f"{one.description[0].upper()}{one.description[1:]}.") for one in COLUMNS.values() if one.description]
    cells = [[Cell(text=name), Cell(text=meaning)] for name, meaning in (*GLOSSARY.items(), *families.items(), *known)]
    words = Table(id="words", title="Words", columns=[text("word", "Word"), text("meaning", "Meaning")], rows=cells)
    return Part(id="reading", title="How to read", lead="Every word and metric of this page.", blocks=[words])
