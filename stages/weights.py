"""Fetch the networks' weights, convert them and verify their checksums."""

from pathlib import Path

import click

from relume.core.stage import StageContext, stage
from relume.networks.config import Weights
from relume.networks.fetch import fetch_weights


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Root of the weights: one folder per network.")
@stage("weights")
def main(context: StageContext, out: Path) -> None:
    for name in context.section(Weights, "weights").networks:
        fetch_weights(name, out, log=click.echo)


if __name__ == "__main__":
    main()
