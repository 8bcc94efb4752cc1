"""What is folded below the first screens: all pictures, scores, comparisons, curves, and how every group was made."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from relume.core.files import read_csv
from relume.core.results import Group, is_masked
from relume.report.blocks import Block, Cell, Facts, Fold, Part, Pictures, Row, Table, Text, kept
from relume.report.columns import COLUMNS, column, text
from relume.report.curves import convergence, terms, training
from relume.report.data import Table as Rows
from relume.report.data import grouped
from relume.report.depths import verdict
from relume.report.images import Drawing
from relume.report.labels import place, words
from relume.report.leaderboards import Leaderboard, Result
from relume.report.story import METRICS, Story

GLOSSARY = {
    "baseline": "A predictor without a network, on the same pictures: one mean colour, or a mosaic of mean colours. A"
    " no-information baseline has not seen the picture; an oracle baseline is computed from it.",
    "oracle": "A run that has seen the picture itself, not only its features. It is never ranked best.",
    "below linear": "A linear map of the same features, or of the visible pixels, is at least as good by the same score.",
    "interval": "Bootstrap interval of the mean over sources. A difference whose interval includes zero is undecided.",
    "tap": "The layer whose features were inverted. Its name means after the ReLU, with _pre before it.",
    "†": "Circular: the metric network is the network whose features were inverted. Such a score is no evidence.",
}


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
    yield Part(id="comparisons", title="Comparisons", lead=lead, blocks=_comparisons(data.comparisons, boards))
    lead = "The quality of intermediate pictures. Seconds are per picture, on the device named with each method."
    curves = [chart for board in boards for chart in convergence(data, board)]
    yield Part(id="convergence", title="Quality over steps and seconds", lead=lead, blocks=curves)


def _pictures(story: Story, count: int) -> Iterator[Pictures]:
    board, ids = story.board, story.ids(count)
    shown = [*(board.methods or board.rows), *filter(None, [board.no_information])]
    rows = [story.originals(ids)]
    rows += [(Cell(text=one.label, under=one.place, marks=one.marks), story.tiles(one, ids)) for one in shown]
    caption = "The same pictures by every method, with their PSNR; chosen without knowledge of the scores."
    yield Pictures(id=f"all-{board.id}", title=board.title, rows=rows, caption=caption, wipe=True, style="dense")
    ranked = [
        (one, sorted(psnr, key=lambda id: -psnr[id]))
        for one in board.methods
        if (psnr := story.drawing.data.entries[one.key].psnr)
    ]
    chosen = [(one, (order[0], order[(len(order) - 1) // 2], order[-1])) for one, order in ranked]
    pairs: list[Row] = [
        (
            Cell(text=one.label, under=one.place),
            [tile for id in ids for tile in (story.drawing.original(board.dataset, id), story.tile(one, id))],
        )
        for one, ids in chosen
    ]
    heads = ("Best", "reconstructed", "Median", "reconstructed", "Worst", "reconstructed")
    caption = "Each method's best, median and worst picture by PSNR, beside the original."
    yield Pictures(
        id=f"range-{board.id}",
        title=f"{board.title}: best, median and worst",
        rows=pairs,
        caption=caption,
        heads=heads,
        style="dense",
    )


def _comparisons(rows: Rows, boards: Sequence[Leaderboard]) -> list[Block]:
    names = {one.method: one.name for board in boards for one in board.rows}
    asked = grouped(rows, lambda row: row["question"])
    if not rows:
        return [Text(sentences=["compare.questions is empty: no comparisons."])]
    return [Fold(title=words(name), blocks=[questions(found, names, words(name))]) for name, found in asked.items()]


def questions(rows: Rows, names: Mapping[str, str], title: str = "Paired comparisons") -> Table:
    columns = [text(name, name) for name in ("in words", "metric", "difference", "interval", "n", "on")]
    cells = []
    for row in rows:
        metric, (winner, said) = column(row["metric"]), verdict(row, names)
        interval = f"{metric.show(row['lo'])} to {metric.show(row['hi'])}" if row["lo"] else ""
        on = " ".join(filter(None, (row["dataset"], f"{row['size']} px", place(row["network"], row["tap"]))))
        mark = "significant" if winner else "undecided"
        numbers = [metric.heading, metric.show(row["diff"]), interval, f"{row['n']} ({row['sources']})", on]
        cells.append([Cell(text=said, marks=(mark,)), *(Cell(text=one) for one in numbers)])
    note = "The same pictures by both methods; n: pictures (sources)."
    return Table(id=f"question-{title.replace(' ', '-')}", title=title, columns=columns, rows=cells, note=note)


def methods(drawing: Drawing, boards: Sequence[Leaderboard]) -> Part:
    """How every group was made: cost, curves, training, hashes."""
    results = {result.key: result for board in boards for result in board.rows}
    folds = [Fold(title=words(group.name), blocks=_group(drawing, group, results)) for group in drawing.data.groups]
    lead = "Per group of pictures: cost, curves, training and hashes. Parameters: metrics/runs/<group>/method.json."
    return Part(id="methods", title="How it was made", lead=lead, blocks=folds)


def _group(drawing: Drawing, group: Group, results: Mapping[Any, Result]) -> list[Block]:
    data = drawing.data
    keys = dict.fromkeys(key for key, entry in data.entries.items() if entry.group is group)
    mine = [results[key] for key in keys if key in results]
    seconds = column("seconds_per_image")
    costs = [f"{one.name} ({one.method}): {seconds.show(one.cells['seconds_per_image'])} s per picture." for one in mine]
    names = dict.fromkeys(row["method"] for row in group.index)
    facts = [(name if name == "device" else f"hash of {name}", value) for name, value in sorted(group.method.items())]
    blocks: list[Block] = [Text(sentences=costs or [f"Methods: {', '.join(names)}."])]
    if not is_masked(group.folder):  # its energies are in a part of their own
        blocks += terms(read_csv(group.folder / "trace.csv"), {one.method: one.name for one in mine})
    blocks += [training(name, model, drawing) for name, model in data.trained(names).items()]
    blocks.append(Facts(pairs=[(name, value) for name, value in facts if isinstance(value, str) and value]))
    return blocks


def reading(families: Mapping[str, str]) -> Part:
    """The glossary: words, kinds of methods, metrics."""
    known = [(one.heading, f"{one.description[0].upper()}{one.description[1:]}.") for one in COLUMNS.values() if one.description]
    pairs = [*GLOSSARY.items(), *families.items(), *known]
    return Part(id="reading", title="How to read", lead="Every word and metric of this page.", blocks=[Facts(pairs=pairs)])
