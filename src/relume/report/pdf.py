"""`report.pdf`: the page's tables and main figures, to be attached to a paper."""

from collections.abc import Sequence
from pathlib import Path

from relume.report.columns import column
from relume.report.convergence import convergence
from relume.report.data import ReportData, Table
from relume.report.depth import Depths, depths
from relume.report.findings import headline, read_comparison
from relume.report.images import pick
from relume.report.leaderboards import Leaderboard, Result, leaderboards
from relume.report.metric_checks import correlation_matrices, degradation_test
from relume.report.networks import leakage, network_plots
from relume.report.pdf_figures import correlations, image_grid, plots
from relume.report.pdf_layout import PdfColumn, PdfWriter, pdf_writer, split_columns
from relume.report.provenance import Commands, Folder, Model, used
from relume.report.summaries import Depth, Margin, NetworkSummary, summaries

ACROSS = 6  # images of the grid
LEAD = (
    "relume inverts neural-network features back into images and compares these with the originals. Baselines are predictors"
    " without a network, on the same images: a no-information baseline has not seen the image, an oracle baseline is computed"
    " from it. A method that is not above the no-information baseline has shown nothing."
)
ORACLE = "Oracle (*): a run that has seen the image itself, not only its features. It is never ranked best."


def write_pdf(path: Path, data: ReportData, level: float, made: Commands) -> None:
    boards = leaderboards(data.leaderboard)
    with pdf_writer(path, f"relume: {headline(boards)}") as pdf:
        pdf.text(f"{headline(boards)}.", size=17, weight="bold", after=8)
        pdf.text(LEAD, after=4)
        for board in boards:
            _board(pdf, data, board, level)
        _masked(pdf, data.masked)
        _comparisons(pdf, data.comparisons, level)
        _metrics(pdf, data)
        _provenance(pdf, data, made)
        _reading(pdf, boards, level)


def text(*titles: str) -> list[PdfColumn]:
    return [PdfColumn(title=title) for title in titles]


def numbers(*titles: str) -> list[PdfColumn]:
    return [PdfColumn(title=title, number=True) for title in titles]


def _board(pdf: PdfWriter, data: ReportData, board: Leaderboard, level: float) -> None:
    found = depths(board, data.taps)
    networks = summaries(board, found, data.comparisons)
    pdf.heading(board.title)
    for summary in networks:
        pdf.heading(summary.network, size=11)
        pdf.items(summary.sentences)
        _summary(pdf, summary, level)
    _leaderboard(pdf, board, level)
    _figures(pdf, data, board, found)
    results = [depth.result for summary in networks for depth in summary.depths]
    _grid(pdf, data, board, results or board.methods, "the best method at each depth" if results else "all methods")


def _summary(pdf: PdfWriter, summary: NetworkSummary, level: float) -> None:
    interval = f"{level:.0%} interval"
    columns = [*text("Tap", "Best method"), *numbers("PSNR, dB", interval, "LPIPS vgg", "over baseline"), *text("")]
    columns += [*text("over runner-up"), *numbers(""), *text(""), *numbers("re-identified", "n")]
    baseline = next((depth.gain.other.method for depth in summary.depths if depth.gain), "none")
    caption = f"Best method at each depth of {summary.network}, with its PSNR difference in dB to the best no-information"
    caption += f" baseline ({baseline}) and to the runner-up, with {level:.0%} intervals. Re-identified: top-1, by any method."
    pdf.table(caption, columns, [_depth(depth) for depth in summary.depths])


def _depth(depth: Depth) -> list[str]:
    cells = depth.result.cells
    runner_up = [depth.runner_up.other.method, *_margin(depth.runner_up)] if depth.runner_up else ["–", "", ""]
    leak = f"{depth.leak.share:.0%} of {depth.leak.candidates:.0f}" if depth.leak else "–"
    values = [depth.result.score_text, depth.result.interval_text, column("lpips_vgg").show(cells["lpips_vgg"])]
    return [depth.tap, depth.result.method, *values, *_margin(depth.gain), *runner_up, leak, cells["n"]]


def _margin(one: Margin | None) -> list[str]:
    if one is None:
        return ["", ""]
    return [column("psnr").show(one.diff), f"{one.interval} ({one.decision})" if one.interval else f"({one.decision})"]


def _figures(pdf: PdfWriter, data: ReportData, board: Leaderboard, found: Sequence[Depths]) -> None:
    networks, leak = network_plots(board, found, data.taps), leakage(board, found, data.taps)
    if networks:
        caption = "The best method at each tap of each network; depth counts a network's taps. Dashed lines: baselines."
        caption += " Last: top-1 re-identification, by the method with the highest share." if leak else ""
        plots(pdf, caption, [*networks, *filter(None, [leak])], networks[0].series)
    steps = convergence(data, board)
    if steps:
        plots(pdf, f"Quality over steps and over seconds, {board.title}.", steps, steps[0].series)


def _grid(pdf: PdfWriter, data: ReportData, board: Leaderboard, results: Sequence[Result], methods: str) -> None:
    caption = f"Reconstructions of images of {board.dataset} at {board.size} px by {methods}. The images were chosen without"
    caption += " knowledge of the scores. PSNR is the mean over all images, not only these."
    image_grid(pdf, caption, data, board, [*results, *filter(None, [board.no_information])], pick(data, board, ACROSS))


def _leaderboard(pdf: PdfWriter, board: Leaderboard, level: float) -> None:
    alike = ("n", "sources") if len(board.counts) == 1 else ()
    left = ("method", "network", "tap", "device", "reid_net", "fd_net", *alike)
    shown = [one for one in board.columns if one.name not in left]
    columns = text("Method", "Inverted")
    for one in shown:
        columns += numbers(one.heading, *([f"{level:.0%} interval"] if one.name == "psnr" else []))
    rows = []
    for row in board.rows:
        cells = [f"{row.method}{'*' if row.oracle else ''}", row.place or ("baseline" if row.baseline else "")]
        for one in shown:
            cells += [one.show(row.cells[one.name]), *([row.interval_text] if one.name == "psnr" else [])]
        rows.append(cells)
    shared = [f"{name}: {value}" for name, value in board.shared]
    shared += [f"n = {n} from {sources} sources" for n, sources in board.counts] if alike else []
    caption = f"All methods and baselines by PSNR, {board.title}. * has seen the image itself. {'; '.join(shared)}."
    _wide(pdf, caption, columns, rows)


def _wide(pdf: PdfWriter, caption: str, columns: Sequence[PdfColumn], rows: Sequence[Sequence[str]]) -> None:
    """One table, or several where the columns do not fit the page; the first two are in each."""
    for number, chosen in enumerate(split_columns(columns, rows, 2)):
        shown = [[row[at] for at in chosen] for row in rows]
        pdf.table(f"{caption} Further columns." if number else caption, [columns[at] for at in chosen], shown)


def _masked(pdf: PdfWriter, masked: Table) -> None:
    """The columns of the file that have values."""
    if not masked:
        return
    left = ("device", "fd_net", "dataset", "size", "psnr_masked_lo", "psnr_masked_hi")
    shown = [column(name) for name in masked[0] if name not in left and any(row[name] for row in masked)]
    rows = [[one.show(row[one.name]) for one in shown] for row in masked]
    pdf.heading("Masked images")
    caption = "Masked models and baselines, by the share of the image that is hidden. PSNR masked counts hidden pixels only."
    _wide(pdf, caption, [PdfColumn(title=one.heading, number=not one.text) for one in shown], rows)


def _comparisons(pdf: PdfWriter, comparisons: Table, level: float) -> None:
    if not comparisons:
        return
    pdf.heading("Comparisons")
    columns = [*text("a", "b", "metric"), *numbers("a minus b", f"{level:.0%} interval"), *text("better"), *numbers("n")]
    rows = []
    for row in comparisons:
        metric, winner = column(row["metric"]), read_comparison(row).winner
        interval = f"{metric.show(row['lo'])} to {metric.show(row['hi'])}" if row["lo"] else ""
        better = row[winner] if winner else "undecided"
        count = f"{row['n']} ({row['sources']})"
        rows.append([row["a"], row["b"], metric.title, metric.show(row["diff"]), interval, better, count])
    caption = "Paired comparisons of two methods on the same images. Intervals are bootstrapped over sources. Undecided: the"
    caption += " interval includes zero, or the metric network is the inverted network. n: images (sources)."
    pdf.table(caption, columns, rows)


def _metrics(pdf: PdfWriter, data: ReportData) -> None:
    matrices, degradations = correlation_matrices(data.correlations), degradation_test(data.self_test)
    if matrices or degradations:
        pdf.heading("Reliability of the metrics", keep=220)
    for matrix in matrices:
        correlations(pdf, f"Rank correlation (Spearman) between metrics, {matrix.title}. {matrix.extremes}", matrix)
    if degradations is not None:
        caption = f"Known degradations, from weak to strong. {degradations.text}"
        plots(pdf, caption, degradations.plots, degradations.legend, across=3)


def _provenance(pdf: PdfWriter, data: ReportData, made: Commands) -> None:
    rows: list[list[str]] = []
    models: dict[Folder, Model] = {}
    for group in data.groups:
        about = group.method
        hashes = [str(about.get(name, ""))[:16] for name in ("code", "params")]
        rows.append([group.name, made.get(("reconstructions", group.name), ""), *hashes, str(about.get("device", ""))])
        models |= {(one.kind, one.name): one for one in used(group, data.models)}
    pdf.heading("Provenance")
    caption = "Groups of images, with hashes of code and parameters."
    pdf.table(caption, text("Group", "Made by", "Code", "Parameters", "Device"), rows)
    if models:
        columns = [*text("Model", "Kind", "Weights, sha256", "Made by"), *numbers("Training")]
        sha = {key: str(one.card.get("sha256", ""))[:16] for key, one in models.items()}
        cells = [[one.name, one.kind_text, sha[key], made.get(key, ""), one.training_time] for key, one in models.items()]
        pdf.table("Models and networks that they used.", columns, cells)


def _reading(pdf: PdfWriter, boards: Sequence[Leaderboard], level: float) -> None:
    pdf.heading("How to read")
    interval = f"Interval: {level:.0%} bootstrap interval of the mean over sources."
    known = {one.name: one for board in boards for one in board.columns if one.description}
    pdf.items([ORACLE, interval, *(f"{one.heading}: {one.description}." for one in known.values())])
