"""Write the code digests of each stage, one file per stage, on which the other stages depend."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

import stages  # noqa: F401  puts this tree's sources first
from relume.core.code import write_stages
from relume.core.config import read_params


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the files.")
def main(out: Path) -> None:
    names = write_stages(out, factories=own_modules(read_params(Path("params.yaml"))))
    click.echo(f"{len(names)} stages")


def own_modules(params: Any) -> Iterator[str]:
    """Of networks, parametrisations and views of the user's own, wherever the file names them as <module>:<name>."""
    if isinstance(params, Mapping):
        yield from (str(params[key]).partition(":")[0] for key in ("module", "name") if ":" in str(params.get(key, "")))
        params = list(params.values())
    if isinstance(params, list):
        yield from (name for each in params for name in own_modules(each))


if __name__ == "__main__":
    main()
