"""Writes the default's pictures and numbers: docs/results/gallery.md with its sheets, README's table and picture.

    python -m benchmarks.gallery

The text between two marks is generated. In the gallery `<!-- gallery NAME -->` … `<!-- end -->` holds a sheet of images and a
table of its methods, their PSNR and the commands that make them. In README `<!-- numbers DATASET [SHARE/]METRIC:DIGITS … -->` …
`<!-- end -->` holds a table. Its rows are written by hand, each with a method; the last cells are filled in from
docs/results/default.csv and default_masked.csv, measured on one machine (`python -m benchmarks.preset default`).
docs/overview.jpg shows the methods of README's first table.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from benchmarks.gallery_pictures import SHEETS, Outputs, Sheet, overview
from benchmarks.sheet import save
from relume.core.errors import UserError
from relume.core.files import read_csv, write_text

PAGE, FOLDER, RECORD = Path("docs/results/gallery.md"), Path("docs/gallery"), Path("docs/results/default")
OVERVIEW = Path("docs/overview.jpg")
SECTION = re.compile(r"(<!-- gallery (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
NUMBERS = re.compile(r"(<!-- numbers (\S+)((?: \S+:\d)+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def section(name: str, sheet: Sheet) -> str:
    """A sheet as Markdown."""
    lines = [["method", "given", sheet.scored, "made by"], ["---"] * 4]
    lines += [[f"`{one.name}`", one.subject, one.score, f"`dvc repro {one.stage}`"] for one in sheet.methods]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    shown = ", ".join(block.title for block in sheet.blocks)
    return f"\n![{shown}](../{FOLDER.name}/{name}.jpg)\n\n{table}"


def page(text: str, root: Path) -> str:
    """Writes the gallery's page and its sheets."""
    outputs = Outputs(root)

    def draw(mark: re.Match[str]) -> str:
        name = mark[2]
        if name not in SHEETS:
            raise UserError(f"{PAGE}: no such sheet: {name}; there are {', '.join(SHEETS)}")
        sheet = SHEETS[name](outputs)
        (root / FOLDER).mkdir(parents=True, exist_ok=True)
        save(root / FOLDER / f"{name}.jpg", sheet.blocks)
        return mark[1] + section(name, sheet) + mark[3]

    return SECTION.sub(draw, text)


def numbers(text: str, record: Mapping[str, Mapping[str, Mapping[str, str]]]) -> str:
    """README with its tables filled from the record: dataset -> method (masked ones with their ratio) -> column -> value."""

    def fill(mark: re.Match[str]) -> str:
        heading, rule, *rows = mark[4].splitlines(keepends=True)
        columns = [column.rsplit(":", 1) for column in mark[3].split()]
        return mark[1] + heading + rule + "".join(_filled(row, columns, record.get(mark[2], {})) for row in rows) + mark[5]

    return NUMBERS.sub(fill, text)


def _filled(row: str, columns: Sequence[Sequence[str]], measured: Mapping[str, Mapping[str, str]]) -> str:
    cells = [cell.strip() for cell in row.strip().strip("|").split("|")]
    label = cells[: len(cells) - len(columns)]
    scores = [_score(label[-1].strip("`"), name, measured, int(digits)) for name, digits in columns]
    return f"| {' | '.join([*label, *scores])} |\n"


def labels(text: str) -> dict[str, str]:
    """From README's first table: method -> what was inverted, or how else the image was made."""
    mark = NUMBERS.search(text)
    rows = [[cell.strip() for cell in row.strip("| ").split("|")] for row in mark[4].splitlines()[2:]] if mark else []
    columns = len(mark[3].split()) if mark else 0
    names = [row[-columns - 1].strip("`") for row in rows]
    told = [
        next((cell.replace("`", "") for cell in row[: -columns - 1] if cell != "none"), name)
        for name, row in zip(names, rows, strict=True)
    ]
    return dict(zip(names, told, strict=True))


def _score(method: str, column: str, measured: Mapping[str, Mapping[str, str]], digits: int) -> str:
    """Empty if the method has no such score."""
    share, _, metric = column.rpartition("/")
    name = f"{method} {share}".strip()
    if name not in measured:
        raise UserError(f"README: {RECORD}*.csv has no row {name}")
    if not (value := measured[name][metric]):
        return ""
    return f"{float(value):.{digits}f}".removeprefix("0" if digits == 3 else "")


@click.command(help=__doc__)
@click.option(
    "--root", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path(), help="The project's folder."
)
def main(root: Path) -> None:
    try:
        readme, gallery = root / "README.md", root / PAGE
        for path, text in ((gallery, page(gallery.read_text(), root)), (readme, numbers(readme.read_text(), recorded(root)))):
            write_text(path, text)
            click.echo(f"{path}: written")
        save(root / OVERVIEW, [overview(Outputs(root), labels(readme.read_text()))])
    except UserError as error:
        raise click.ClickException(str(error)) from None


def recorded(root: Path) -> dict[str, dict[str, dict[str, str]]]:
    """The default's record: dataset -> method (masked ones with their ratio) -> column -> value."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for row in read_csv(root / f"{RECORD}.csv"):
        found.setdefault(row["dataset"], {})[row["method"]] = row
    for row in read_csv(root / f"{RECORD}_masked.csv"):
        found.setdefault(row["dataset"], {})[f"{row['method']} {float(row['mask_ratio']):.0%}"] = row
    return found


if __name__ == "__main__":
    main()
