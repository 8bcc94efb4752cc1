"""Puts the tables of docs/results into the pages of docs, between their marks.

    python -m benchmarks.tables

A mark names a file of docs/results: `<!-- table NAME -->` … `<!-- end -->`; words behind the name keep only rows of these
methods or questions (`avg_*`: all that begin so). The columns follow from the file: a leaderboard or paired comparisons.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import click

from relume.core.files import read_csv

DOCS = Path("docs")
MARK = re.compile(r"(<!-- table (\w+)((?: [\w*]+)*) -->\n).*?(<!-- end -->)", re.DOTALL)
Row = Mapping[str, str]
DIGITS = {"psnr": 2, "seconds_per_image": 2}


def number(row: Row, key: str, digits: int = 3) -> str:
    return f"{float(row[key]):.{digits}f}" if row.get(key) else ""


def interval(row: Row, lo: str, hi: str, digits: int) -> str:
    return f" [{number(row, lo, digits)}, {number(row, hi, digits)}]" if row.get(lo) else ""


def subject(row: Row) -> str:
    return f"{row['network']} `{row['tap']}`" if row["network"] else "–"


def board(row: Row) -> list[str]:
    scores = [
        number(row, key, DIGITS.get(key, 3)) for key in ("ssim", "lpips_alex", "lpips_vgg", "feature_error", "seconds_per_image")
    ]
    return [subject(row), f"`{row['method']}`", number(row, "psnr", 2) + interval(row, "psnr_lo", "psnr_hi", 2), *scores]


def question(row: Row) -> list[str]:
    digits = DIGITS.get(row["metric"], 3)
    means = [number(row, key, digits) for key in ("mean_a", "mean_b")]
    return [
        subject(row),
        f"`{row['a']}` − `{row['b']}`",
        row["metric"],
        *means,
        number(row, "diff", digits) + (interval(row, "lo", "hi", digits) or " (no proof: see above)"),
    ]


BOARD = "inverted|method|PSNR, dB ↑|SSIM ↑|LPIPS (Alex) ↓|LPIPS (VGG) ↓|feature error ↓|seconds per picture"
QUESTION = "inverted|a − b|metric|a|b|difference"
Kind = tuple[str, Callable[[Row], list[str]], str]


def kind(rows: Sequence[Row]) -> Kind:
    """Heading, how a row is written, the column that the words of a mark are held against."""
    return (QUESTION, question, "question") if "question" in rows[0] else (BOARD, board, "method")


def table(name: str, words: Sequence[str], results: Path) -> str:
    rows = read_csv(results / f"{name}.csv")
    heading, write, column = kind(rows)
    wanted = [row for row in rows if not words or any(fnmatchcase(row[column], word) for word in words)]
    lines = [heading.split("|"), ["---"] * (heading.count("|") + 1), *map(write, wanted)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def filled(page: str, results: Path) -> str:
    """The page with every table as its file says."""
    return MARK.sub(lambda mark: mark[1] + table(mark[2], mark[3].split(), results) + mark[4], page)


@click.command(help=__doc__)
@click.option("--docs", type=click.Path(path_type=Path, exists=True, file_okay=False), default=DOCS, show_default=True)
def main(docs: Path) -> None:
    for path in sorted(docs.glob("*.md")):
        old = path.read_text()
        new = filled(old, docs / "results")
        if new != old:
            path.write_text(new)
            click.echo(f"{path}: written")


if __name__ == "__main__":
    main()
