"""Fetch the networks' weights, convert them and verify their checksums."""

from pathlib import Path
from typing import Annotated

import click

from relume.core.stage import StageContext, stage
from relume.networks.config import Weights
from relume.networks.fetch import fetch_weights


@stage("weights")
def main(
    context: StageContext,
    out: Annotated[Path, "Root of the weights: one folder per network."],
) -> None:
    for name in context.section(Weights, "weights").networks:
        fetch_weights(name, out, log=click.echo)


if __name__ == "__main__":
    main()
