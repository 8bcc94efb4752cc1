"""`report.pdf`: the page's tables and best figures, to be attached to a paper. Made of the same parts as the page."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from relume.report.answers import Answer, Depth, Margin, answers
from relume.report.backbones import backbones, leakage
from relume.report.boards import Board, Line, boards
from relume.report.columns import Column, column
from relume.report.depth import Depths, depths
from relume.report.efforts import effort
from relume.report.judges import heats, ladders
from relume.report.material import Material, Table
from relume.report.paper import Head, Paper, paper, split
from relume.report.paper_figures import grid, heat, plots
from relume.report.pictures import pick
from relume.report.provenance import Commands, Model, Place, used
from relume.report.words import headline, verdict

ACROSS = 6  # pictures of the grid
LEFT, RIGHT = partial(Head, number=False), partial(Head, number=True)
LEAD = (
    "A network keeps of a picture only what it needs. Here pictures are made anew from what it kept, and measured against the"
    " originals, beside floors: predictors so simple that a method below them has shown nothing."
)
READING = (
    "Floor: a predictor without any network, on the very pictures that methods are scored on. A blind floor has never seen the"
    " picture; an oracle floor is made from it.",
    "Oracle (*): a run that has looked at the picture itself, not only at its features. It is never ranked best.",
)


def write_pdf(path: Path, material: Material, level: float, made: Commands) -> None:
    found = boards(material.leaderboard)
    with paper(path, f"relume: {headline(found)}") as sheet:
        sheet.text(f"{headline(found)}.", size=17, weight="bold", after=8)
        sheet.text(LEAD, after=4)
        for board in found:
            _board(sheet, material, board, level)
        _masked(sheet, material.masked)
        _comparisons(sheet, material.comparisons, level)
        _judges(sheet, material)
        _provenance(sheet, material, made)
        _reading(sheet, found, level)


def _board(sheet: Paper, material: Material, board: Board, level: float) -> None:
    found = depths(board, material.taps)
    told = answers(board, found, material.comparisons)
    sheet.heading(board.title)
    for answer in told:
        sheet.heading(answer.network, size=11)
        sheet.items(answer.sentences)
        _answer(sheet, answer, level)
    _leaderboard(sheet, board, level)
    _figures(sheet, material, board, found)
    lines = [depth.line for answer in told for depth in answer.depths]
    _grid(sheet, material, board, lines or board.methods, best=bool(lines))


def _answer(sheet: Paper, answer: Answer, level: float) -> None:
    heads = [LEFT(title="Tap"), LEFT(title="Best method"), RIGHT(title="PSNR, dB"), RIGHT(title=f"{level:.0%} interval")]
    heads += [RIGHT(title="LPIPS vgg"), RIGHT(title="over floor"), LEFT(title=""), LEFT(title="over runner-up"), RIGHT(title="")]
    heads += [LEFT(title=""), RIGHT(title="found again"), RIGHT(title="n")]
    floor = next((depth.floor.other.method for depth in answer.depths if depth.floor), "none")
    caption = f"Best method at each depth of {answer.network}, over the best blind floor ({floor}) and over the runner-up, in dB"
    caption += f" of PSNR with {level:.0%} intervals; found again: re-identification by any method."
    sheet.table(caption, heads, [_depth(depth) for depth in answer.depths])


def _depth(depth: Depth) -> list[str]:
    cells = depth.line.cells
    rival = [depth.rival.other.method, *_margin(depth.rival)] if depth.rival else ["alone", "", ""]
    again = f"{depth.leak.share:.0%} of {depth.leak.candidates:.0f}" if depth.leak else "–"
    values = [column("psnr").show(cells["psnr"]), _ends(depth.line), column("lpips_vgg").show(cells["lpips_vgg"])]
    return [depth.tap, depth.line.method, *values, *_margin(depth.floor), *rival, again, cells["n"]]


def _ends(line: Line) -> str:
    low, high = (column("psnr").show(line.cells[end]) for end in ("psnr_lo", "psnr_hi"))
    return f"{low} to {high}" if line.interval else ""


def _margin(one: Margin | None) -> list[str]:
    if one is None:
        return ["", ""]
    return [column("psnr").show(str(one.diff)), f"{one.ends} ({one.sure})" if one.ends else f"({one.sure})"]


def _figures(sheet: Paper, material: Material, board: Board, found: Sequence[Depths]) -> None:
    networks, curve = backbones(board, found, material.taps), leakage(board, found, material.taps)
    if networks:
        caption = "The best method at each tap of each network; depth counts a network's taps. Dotted: what needs no features."
        leak = " Last: re-identification of the original among the candidates, by the strongest method." if curve else ""
        plots(sheet, caption + leak, [*networks, *filter(None, [curve])], networks[0].series)
    tried = effort(material, board)
    if tried is not None and tried.plots:
        plots(sheet, f"Quality against steps and against seconds, {board.title}.", tried.plots, tried.legend)


def _grid(sheet: Paper, material: Material, board: Board, lines: Sequence[Line], *, best: bool) -> None:
    who = "the best method at each depth makes" if best else "the methods make"
    caption = f"What {who} of pictures of {board.dataset} at {board.size} px, which were chosen without a look at the scores."
    caption += " PSNR is the mean over all pictures, not only these."
    grid(sheet, caption, material, board, [*lines, *filter(None, [board.blind])], pick(material, board, ACROSS))


def _leaderboard(sheet: Paper, board: Board, level: float) -> None:
    alike = ("n", "sources") if len(board.counts) == 1 else ()
    columns = [
        one for one in board.columns if one.name not in ("method", "network", "tap", "device", "reid_net", "fd_net", *alike)
    ]
    heads = [LEFT(title="Method"), LEFT(title="Inverted")]
    for one in columns:
        heads += [_head(one, number=True)]
        heads += [RIGHT(title=f"{level:.0%} interval")] if one.name == "psnr" else []
    told = [f"{name}: {value}" for name, value in board.told]
    told += [f"n = {n} from {sources} sources" for n, sources in board.counts] if alike else []
    caption = f"All methods and floors by PSNR, {board.title}. * has looked at the picture itself. {'; '.join(told)}."
    _wide(sheet, caption, heads, [_line(line, columns) for line in board.lines])


def _line(line: Line, columns: Sequence[Column]) -> list[str]:
    found = [f"{line.method}{'*' if line.oracle else ''}", line.place or ("floor" if line.floor else "")]
    for one in columns:
        found += [one.show(line.cells[one.name]), *([_ends(line)] if one.name == "psnr" else [])]
    return found


def _wide(sheet: Paper, caption: str, heads: Sequence[Head], rows: Sequence[Sequence[str]]) -> None:
    """One table, or several where the columns do not fit the page; the first two stand in each."""
    for number, columns in enumerate(split(heads, rows, 2)):
        shown = [[row[at] for at in columns] for row in rows]
        sheet.table(f"{caption} Further columns." if number else caption, [heads[at] for at in columns], shown)


def _head(one: Column, *, number: bool) -> Head:
    return Head(title=f"{one.title} {one.arrow}".strip(), number=number)


def _masked(sheet: Paper, masked: Table) -> None:
    """The file's columns as they are; what has no value is left out."""
    if not masked:
        return
    left = ("device", "fd_net", "dataset", "size", "psnr_masked_lo", "psnr_masked_hi")
    shown = [column(name) for name in masked[0] if name not in left and any(row[name] for row in masked)]
    rows = [[one.show(row[one.name]) for one in shown] for row in masked]
    sheet.heading("Masked pictures")
    caption = "Masked models beside floors, by the share of the picture that is hidden; PSNR masked counts hidden pixels alone."
    _wide(sheet, caption, [_head(one, number=not one.text) for one in shown], rows)


def _comparisons(sheet: Paper, comparisons: Table, level: float) -> None:
    if not comparisons:
        return
    sheet.heading("Comparisons")
    heads = [LEFT(title="a"), LEFT(title="b"), LEFT(title="metric"), RIGHT(title="a less b")]
    heads += [RIGHT(title=f"{level:.0%} interval"), LEFT(title="better"), RIGHT(title="n")]
    rows = []
    for row in comparisons:
        metric, told = column(row["metric"]), verdict(row)
        ends = f"{metric.show(row['lo'])} to {metric.show(row['hi'])}" if row["lo"] else ""
        better = row[told.winner] if told.winner else "open"
        rows.append([row["a"], row["b"], metric.title, metric.show(row["diff"]), ends, better, f"{row['n']} ({row['sources']})"])
    caption = "Two methods on the same pictures. Intervals are bootstrapped over sources; open: the interval includes zero, or"
    sheet.table(f"{caption} the judge is the inverted network. n: pictures (sources).", heads, rows)


def _judges(sheet: Paper, material: Material) -> None:
    squares, tested = heats(material.correlations), ladders(material.self_test)
    if squares or tested:
        sheet.heading("What the metrics are worth", keep=220)
    for one in squares:
        heat(sheet, f"Rank correlation (Spearman) between metrics, {one.title}. {one.extremes}", one)
    if tested is not None:
        plots(sheet, f"Known degradations, from weak to strong. {tested.verdict}", tested.plots, tested.legend, across=3)


def _provenance(sheet: Paper, material: Material, made: Commands) -> None:
    rows: list[list[str]] = []
    models: dict[Place, Model] = {}
    for group in material.groups:
        about = group.method
        hashes = [str(about.get(name, ""))[:16] for name in ("code", "params")]
        rows.append([group.name, made.get(("reconstructions", group.name), ""), *hashes, str(about.get("device", ""))])
        models |= {(one.kind, one.name): one for one in used(group, material.models)}
    titles = ("Group", "Made by", "Code", "Parameters", "Device")
    sheet.heading("Where it comes from")
    sheet.table("Groups of pictures, with hashes of code and parameters.", [LEFT(title=title) for title in titles], rows)
    if models:
        heads = [LEFT(title=title) for title in ("Model", "Kind", "Weights, sha256", "Made by")]
        sha = {key: str(one.card.get("sha256", ""))[:16] for key, one in models.items()}
        told = [[one.name, one.what, sha[key], made.get(key, ""), one.trained] for key, one in models.items()]
        sheet.table("Models and networks that they used.", [*heads, RIGHT(title="Training")], told)


def _reading(sheet: Paper, found: Sequence[Board], level: float) -> None:
    sheet.heading("How to read")
    interval = f"Interval: {level:.0%} of the means that other draws of sources would have given, by bootstrap."
    known = {one.name: one for board in found for one in board.columns if one.says}
    sheet.items([*READING, interval, *(f"{one.title}{f' {one.arrow}'.rstrip()}: {one.says}." for one in known.values())])
