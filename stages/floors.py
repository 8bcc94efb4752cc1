"""Compute the baselines for the images that methods are scored on."""

from dataclasses import asdict
from pathlib import Path

import click
import torch

from relume.core.results import write_group
from relume.core.runtime import describe
from relume.core.stage import StageContext, stage
from relume.data.store import Dataset
from relume.evaluation.config import Floors
from relume.evaluation.floors import predict


@click.command(help=__doc__)
@click.option("--images", type=click.Path(path_type=Path), required=True, help="The dataset that `dataset` names.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the group.")
@stage("floors")
def main(context: StageContext, images: Path, out: Path) -> None:
    config = context.section(Floors, "floors")
    pictures, rows, timing = predict(Dataset.open(images), config, out)
    method = {"config": asdict(config), "device": describe(torch.device("cpu")), **context.provenance()}
    write_group(out, images=pictures, rows=rows, method=method, timing=timing)


if __name__ == "__main__":
    main()
