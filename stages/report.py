"""The page, the PDF and README's image, made from the outputs of the earlier stages."""

from pathlib import Path

import click

from relume.core.config import parse, read_params
from relume.core.files import write_csv, write_text
from relume.core.stage import PARAMS, StageContext, stage
from relume.report import depth, landscape
from relume.report.config import Report
from relume.report.data import Folders, read
from relume.report.images import overview, pick
from relume.report.leaderboards import leaderboards
from relume.report.page import render
from relume.report.pdf import write_pdf
from relume.report.provenance import commands

COLUMNS = 6  # of README's image
PIPELINE = Path("dvc.yaml")
FOLDER = click.Path(path_type=Path)


@click.command(help=__doc__)
@click.option("--metrics", type=FOLDER, required=True, help="Folder of the tables and of methods/.")
@click.option("--reconstructions", type=FOLDER, required=True, help="Folder of the groups.")
@click.option("--images", type=FOLDER, required=True, help="Folder of the datasets.")
@click.option("--features", type=FOLDER, required=True, help="Folder of their features.")
@click.option("--models", type=FOLDER, required=True, help="Folder of the models, kind by kind.")
@click.option("--samples", type=FOLDER, required=True, help="Folder of the generators' samples.")
@click.option("--out", type=FOLDER, required=True, help="Folder of index.html, report.pdf, overview.jpg, two tables.")
@stage("report")
def main(context: StageContext, out: Path, **folders: Path) -> None:
    config = context.section(Report, "report")
    data = read(Folders(**folders), context.plain("compare.groups"))
    level, made = context.plain("compare.level"), _commands()
    write_text(out / "index.html", render(data, config, level, made))
    write_pdf(out / "report.pdf", data, level, made)
    first = next(iter(leaderboards(data.leaderboard)), None)
    depths = [] if first is None else depth.depths(first, data.taps)
    write_csv(out / "depth.csv", depth.COLUMNS, depth.table(depths))
    write_csv(out / "landscape.csv", landscape.COLUMNS, landscape.table(landscape.section(data.groups)))
    if first is not None:
        overview(out / "overview.jpg", data, first, pick(data, first, COLUMNS))


def _commands() -> dict[tuple[str, str], str]:
    """Only names are read: if a stage or section changes, its group has other hashes and the page is made again."""
    return commands(parse(PIPELINE.read_text()), read_params(PARAMS)) if PIPELINE.is_file() else {}


if __name__ == "__main__":
    main()
