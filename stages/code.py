"""Write the code digests of each stage, one file per stage, on which the other stages depend."""

from pathlib import Path

import click

import stages  # noqa: F401  puts this tree's sources first
from relume.core.code import write_stages
from relume.core.config import read_params


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the files.")
def main(out: Path) -> None:
    own = read_params(Path("params.yaml")).get("networks") or {}
    names = write_stages(out, factories=[str(entry["module"]).partition(":")[0] for entry in own.values()])
    click.echo(f"{len(names)} stages")


if __name__ == "__main__":
    main()
