"""The page and README's picture, drawn from the files of the stages before it: nothing is computed anew."""

from pathlib import Path

import click

from relume.core.config import parse, read_params
from relume.core.files import write_csv, write_text
from relume.core.stage import PARAMS, Door, stage
from relume.report.boards import boards
from relume.report.config import Report
from relume.report.depth import COLUMNS as DEPTH
from relume.report.depth import depths, table
from relume.report.landscape import COLUMNS as LANDSCAPE
from relume.report.landscape import section as landscapes
from relume.report.landscape import table as landscape_table
from relume.report.material import Folders, read
from relume.report.page import render
from relume.report.pdf import write_pdf
from relume.report.pictures import overview, pick
from relume.report.provenance import commands

COLUMNS = 6  # of README's picture
PIPELINE = Path("dvc.yaml")
FOLDER = click.Path(path_type=Path)


@click.command(help=__doc__)
@click.option("--metrics", type=FOLDER, required=True, help="Folder of the tables and of methods/.")
@click.option("--reconstructions", type=FOLDER, required=True, help="Folder of the groups.")
@click.option("--images", type=FOLDER, required=True, help="Folder of the datasets.")
@click.option("--features", type=FOLDER, required=True, help="Folder of their features.")
@click.option("--models", type=FOLDER, required=True, help="Folder of the models, kind by kind.")
@click.option("--samples", type=FOLDER, required=True, help="Folder of what generators have made.")
@click.option("--out", type=FOLDER, required=True, help="Folder of index.html, report.pdf, overview.jpg, two tables.")
@stage("report")
def main(door: Door, out: Path, **folders: Path) -> None:
    config = door.section(Report, "report")
    material = read(Folders(**folders), door.plain("compare.groups"))
    level, made = door.plain("compare.level"), _commands()
    write_text(out / "index.html", render(material, config, level, made))
    write_pdf(out / "report.pdf", material, level, made)
    first = next(iter(boards(material.leaderboard)), None)
    write_csv(out / "depth.csv", DEPTH, [] if first is None else table(depths(first, material.taps)))
    write_csv(out / "landscape.csv", LANDSCAPE, landscape_table(landscapes(material.groups)))
    if first is not None:
        overview(out / "overview.jpg", material, first, pick(material, first, COLUMNS))


def _commands() -> dict[tuple[str, str], str]:
    """Names only: a group whose stage or section changes has other hashes, and the page is drawn anew."""
    return commands(parse(PIPELINE.read_text()), read_params(PARAMS)) if PIPELINE.is_file() else {}


if __name__ == "__main__":
    main()
