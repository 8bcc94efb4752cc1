"""Which code each stage runs, as one file a stage: the other stages depend on these files and on no other code."""

from pathlib import Path

import click

import stages  # noqa: F401  this tree's sources come first
from relume.core.code import write_stages


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the files.")
def main(out: Path) -> None:
    names = write_stages(out)
    click.echo(f"{len(names)} stages")


if __name__ == "__main__":
    main()
