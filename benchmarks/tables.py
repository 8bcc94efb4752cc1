"""Writes the tables of the pages in docs/results and docs/howto from the CSV files in docs/results.

    python -m benchmarks.tables

`<!-- table NAME -->` … `<!-- end -->` holds the table of docs/results/NAME.csv. Words after the name select methods, questions,
or actions (`avg_*`: all that begin with avg_); `+WORD` selects metrics, rankings or hidden shares in percent. The columns follow
from the file: a leaderboard, masked models, paired comparisons, groups of feature maps, sets of samples, or, of NAME.json
alone, speeds.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click

from relume.core.files import read_csv, read_json

RESULTS = Path("docs/results")
MARK = re.compile(r"(<!-- table (\w+)((?: [\w*+]+)*) -->\n).*?(<!-- end -->)", re.DOTALL)
Row = Mapping[str, str]
DIGITS = {"psnr": 2, "psnr_masked": 2, "psnr_pasted": 2, "psnr_full": 2, "reid_top1": 2, "seconds_per_image": 2, "fd": 1}
SCORES = (
    ("ssim", "SSIM ↑"),
    ("lpips_alex", "LPIPS (Alex) ↓"),
    ("lpips_vgg", "LPIPS (VGG) ↓"),
    ("feature_error", "feature error ↓"),
    ("reid_top1", "re-identified ↑"),
    ("seconds_per_image", "seconds per image"),
)


def number(row: Row, key: str, digits: int) -> str:
    return f"{float(row[key]):.{digits}f}" if row.get(key) else ""


LABELS = {
    "alexnet_conv": "AlexNet",
    "vgg16_conv": "VGG16",
    "efficientnet_lite0": "EfficientNet-Lite0",
    "psnr": "PSNR, dB",
    "psnr_masked": "PSNR of hidden pixels, dB",
    "ssim": "SSIM",
    "lpips_alex": "LPIPS (Alex)",
    "lpips_vgg": "LPIPS (VGG)",
    "feature_error": "feature error",
}


def label(name: str) -> str:
    return LABELS.get(name, name)


HIDDEN = re.compile(r", (\d[\d.]* % hidden)$")  # suffix of a comparison of masked models
FILLED = (
    ("psnr_pasted", "pasted ↑"),
    ("ssim_pasted", "SSIM, pasted ↑"),
    ("lpips_alex", "LPIPS (Alex), pasted ↓"),
    ("fd", "Fréchet distance ↓"),
    ("probe_top1", "linear probe ↑"),
    ("knn_top1", "neighbours ↑"),
)


def subject(row: Row) -> str:
    if row["network"]:
        return f"{label(row['network'])} `{row['tap']}`"
    asked = HIDDEN.search(row.get("question", ""))
    return asked[1].removesuffix(" hidden") if asked else "–"


def board(rows: Sequence[Row]) -> Iterator[list[str]]:
    """One line per method, with the scores that any method has."""
    there = [(key, words) for key, words in SCORES if any(row[key] for row in rows)]
    yield ["inverted", "method", "PSNR, dB ↑", *(words for _, words in there)]
    for row in rows:
        interval = f" [{number(row, 'psnr_lo', 2)}, {number(row, 'psnr_hi', 2)}]" if row["psnr_lo"] else ""
        scores = [number(row, key, DIGITS.get(key, 3)) for key, _ in there]
        yield [subject(row), f"`{row['method']}`", number(row, "psnr", 2) + interval, *scores]


def questions(rows: Sequence[Row]) -> Iterator[list[str]]:
    """One line per pairing, a column per metric: mean of a − mean of b, and the interval, bold where it excludes zero."""
    if rows[0]["metric"] == "ratio":
        yield from worth(rows)
        return
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    yield ["hidden" if HIDDEN.search(rows[0]["question"]) else "inverted", "a − b", *map(label, metrics)]
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        pair = (subject(row), f"`{row['a']}` − `{row['b']}`")
        lines.setdefault(pair, {})[row["metric"]] = difference(row, DIGITS.get(row["metric"], 3))
    yield from ([*pair, *(cells.get(metric, "") for metric in metrics)] for pair, cells in lines.items())


def worth(rows: Sequence[Row]) -> Iterator[list[str]]:
    """One line per pairing: how many steps of b reach what a reaches."""
    yield ["through theta", "plain", "n", "steps of a", "steps of b", "ratio"]
    for row in rows:
        ratio = " [{}, {}]".format(*(number(row, end, 2) for end in ("lo", "hi")))
        yield [f"`{row['a']}`", f"`{row['b']}`", row["n"], row["mean_a"], row["mean_b"], number(row, "diff", 2) + ratio]


def difference(row: Row, digits: int) -> str:
    if not row["lo"]:
        return f"({number(row, 'diff', digits)})"
    told = f"{number(row, 'diff', digits)} [{number(row, 'lo', digits)}, {number(row, 'hi', digits)}]"
    return f"**{told}**" if float(row["lo"]) > 0 or float(row["hi"]) < 0 else told


def groups(rows: Sequence[Row]) -> Iterator[list[str]]:
    """One line per group of feature maps: the decoder's score without them or with them alone."""
    yield ["inverted", "ranked by", "maps", "PSNR, dB ↑", "change, dB"]
    for row in rows:
        maps = {"intact": "all"}.get(row["action"], f"{row['action']}: group {row['group']} ({row['channels']} maps left)")
        change = difference({key: row[f"psnr_change{end}"] for key, end in CHANGE.items()}, 2) if row["psnr_change"] else ""
        yield [subject(row), row["ranking"], maps, number(row, "psnr", 2), change]


def masked(rows: Sequence[Row]) -> Iterator[list[str]]:
    """One line per method and hidden share, with the scores that any method has."""
    there = [(key, words) for key, words in FILLED if any(row[key] for row in rows)]
    yield ["hidden", "method", "parameters", "PSNR of hidden pixels, dB ↑", *(words for _, words in there)]
    for row in rows:
        reached = f"{number(row, 'psnr_masked', 2)} [{number(row, 'psnr_masked_lo', 2)}, {number(row, 'psnr_masked_hi', 2)}]"
        size = f"{int(row['parameters']):,}" if row["parameters"] else "–"
        scores = [number(row, key, DIGITS.get(key, 3)) for key, _ in there]
        yield [f"{100 * float(row['mask_ratio']):g} %", f"`{row['method']}`", size, reached, *scores]


def spreads(rows: Sequence[Row]) -> Iterator[list[str]]:
    """One line per mean of draws: correlations of the draws' spread and the mean's error, with intervals."""
    yield ["inverted", "method", "n", "over the pixels of a picture", "over pictures", "over all pixels of all pictures"]
    for row in rows:
        told = [[number(row, f"{key}{end}", 2) for end in ("", "_lo", "_hi")] for key in ("pixels", "pictures", "pooled")]
        yield [subject(row), f"`{row['method']}`", row["n"], *(f"{mean} [{lo}, {hi}]" for mean, lo, hi in told)]


def scale(rows: Sequence[Row]) -> Iterator[list[str]]:
    """One line per work and network, and the sum over the networks of each work."""
    yield ["work", "network", "rate", "lowest to highest", "n", "hours", "GB"]
    for row in rows:
        rate, low, high = (f"{float(row[key]):.3g}" for key in ("rate", "lowest", "highest"))
        costs = [f"{value:,.0f}" if (value := float(row[key])) >= 100 else f"{value:.2g}" for key in ("hours", "gigabytes")]
        yield [row["work"], label(row["network"]), f"{rate} {row['unit']}", f"{low} to {high}", row["n"], *costs]
    for work in ("extract", "invert"):
        sums = [f"{sum(float(row[key]) for row in rows if row['work'] == work):,.0f}" for key in ("hours", "gigabytes")]
        yield [f"**{work}, all**", "", "", "", "", *sums]


def peaks(rows: Sequence[Row]) -> Iterator[list[str]]:
    """One line per work and number of pictures."""
    yield ["work", "pictures", "MiB", "with mapped files", "core-seconds", "GB written"]
    for row in sorted(rows, key=lambda row: row["work"]):
        costs = (f"{float(row[key]):,.0f}" for key in ("pictures", "mib", "with_files", "core_seconds"))
        yield [f"`{row['work']}`", *costs, f"{float(row['gigabytes']):.2g}"]


def race(rows: Sequence[Row]) -> Iterator[list[str]]:
    """The last line of each way, and when it was as good as the first way's last."""
    ways = {name: [row for row in rows if row["method"] == name] for name in dict.fromkeys(row["method"] for row in rows)}
    goal = float(next(iter(ways.values()))[-1]["lpips_vgg"])
    yield ["way", "steps", "seconds per image", "PSNR, dB ↑", "LPIPS (VGG) ↓", "as good as the first after"]
    for name, own in ways.items():
        equal, last = next((row for row in own if float(row["lpips_vgg"]) <= goal), None), own[-1]
        scores = [number(last, key, digits) for key, digits in (("seconds", 2), ("psnr", 2), ("lpips_vgg", 3))]
        yield [f"`{name}`", last["step"], *scores, f"{equal['step']} steps, {number(equal, 'seconds', 2)} s" if equal else "–"]


def sets(rows: Sequence[Row]) -> Iterator[list[str]]:
    """One line per set of images: its distance to the true ones."""
    yield ["samples", "n", "KID ↓"]
    for row in rows:
        low, high = (number(row, f"kid_{end}", 3) for end in ("lo", "hi"))
        yield [f"`{row['name']}`", row["n"], f"{number(row, 'kid', 3)} [{low}, {high}]"]


CHANGE = {"diff": "", "lo": "_lo", "hi": "_hi"}
# column that identifies a kind of file, and its form
KINDS = (
    ("question", questions),
    ("ranking", groups),
    ("mask_ratio", masked),
    ("pixels", spreads),
    ("hours", scale),
    ("mib", peaks),
    ("objective", race),
    ("method", board),
    ("kid", sets),
)


def speed(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of a file of metrics/benchmarks."""
    heading = ["what", "ours", "plain", "limit", "unit", "times as fast"]
    lines = []
    for row in rows:
        speeds = ["" if row[key] is None else f"{row[key]:.3g}" for key in ("ours", "theirs", "limit")]
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f} [{row['ratio_lo']:.2f}, {row['ratio_hi']:.2f}]"
        lines.append([str(row["what"]), *speeds, str(row["unit"]), ratio])
    return lined(heading, lines)


def lined(heading: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in [heading, ["---"] * len(heading), *lines])


def table(name: str, words: Sequence[str], results: Path) -> str:
    if not (results / f"{name}.csv").exists():
        return speed(read_json(results / f"{name}.json")["rows"])
    rows = read_csv(results / f"{name}.csv")
    column, form = next((column, form) for column, form in KINDS if column in rows[0])
    told = {"ranking": "action", "hours": "work", "mib": "work", "kid": "name"}
    told |= dict.fromkeys(("mask_ratio", "pixels", "objective"), "method")
    shown = {word[1:] for word in words if word.startswith("+")}
    words = [word for word in words if not word.startswith("+")]
    wanted = [row for row in rows if not words or any(fnmatchcase(row[told.get(column, column)], word) for word in words)]
    wanted = [row for row in wanted if not shown or not _detail(row) or _detail(row) in shown]
    heading, *lines = form(wanted)
    return lined(heading, [*lines])


def _detail(row: Row) -> str:
    """The metric, the ranking or the hidden share of a row."""
    return f"{100 * float(row['mask_ratio']):g}" if row.get("mask_ratio") else row.get("metric") or row.get("ranking", "")


def filled(page: str, results: Path) -> str:
    """The page with all tables filled."""
    return MARK.sub(lambda mark: mark[1] + table(mark[2], mark[3].split(), results) + mark[4], page)


@click.command(help=__doc__)
@click.option("--results", type=click.Path(path_type=Path, exists=True, file_okay=False), default=RESULTS, show_default=True)
def main(results: Path) -> None:
    for path in sorted([*results.glob("*.md"), *(results.parent / "howto").glob("*.md")]):
        old = path.read_text()
        new = filled(old, results)
        if new != old:
            path.write_text(new)
            click.echo(f"{path}: written")


if __name__ == "__main__":
    main()
