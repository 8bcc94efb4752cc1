"""The page and README's picture, drawn from the files of the stages before it: nothing is computed anew."""

from pathlib import Path

import click

from relume.core.door import Door, stage
from relume.core.files import write_text
from relume.report.boards import boards
from relume.report.config import Report
from relume.report.material import read
from relume.report.page import render
from relume.report.pictures import overview, pick

COLUMNS = 6  # of README's picture


@click.command(help=__doc__)
@click.option("--metrics", type=click.Path(path_type=Path), required=True, help="Folder of the tables and of methods/.")
@click.option("--reconstructions", type=click.Path(path_type=Path), required=True, help="Folder of the groups.")
@click.option("--images", type=click.Path(path_type=Path), required=True, help="Folder of the datasets.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of index.html and overview.jpg.")
@stage("report")
def main(door: Door, metrics: Path, reconstructions: Path, images: Path, out: Path) -> None:
    config = door.section(Report, "report")
    material = read(metrics, reconstructions, images, door.plain("compare.groups"))
    write_text(out / "index.html", render(material, config, door.plain("compare.level")))
    first = boards(material.leaderboard)[0]
    overview(out / "overview.jpg", material, first, pick(material, first, COLUMNS))


if __name__ == "__main__":
    main()
