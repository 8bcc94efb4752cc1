"""Classify frozen features of masked models by linear probes and nearest neighbours."""

from functools import partial
from pathlib import Path
from typing import Annotated

import click

from relume.core.files import write_csv
from relume.core.run import Run
from relume.core.runtime import deterministic, device_of
from relume.core.stage import StageContext, stage
from relume.data.store import Dataset
from relume.evaluation.config import Probe
from relume.evaluation.probe import PROBE, table
from relume.methods.masked.model import read_masked, represent


@stage("probe")
def main(
    context: StageContext,
    images: Annotated[Path, "The dataset whose classes are predicted."],
    models: Annotated[Path, "Folder of the masked models."],
    out: Annotated[Path, "Table to write."],
) -> None:
    run, config = context.section(Run, "run"), context.section(Probe, "probe")
    deterministic()
    device, dataset = device_of(run), Dataset.open(images)
    trained = [read_masked(models / name, device) for name in config.models]
    readers = {one.name: partial(represent, one, dataset, micro_batch=run.micro_batch) for one in trained}
    rows = table(dataset, readers, config)
    write_csv(out, PROBE, rows)
    if rows and "n" not in rows[0]:
        click.echo(f"{dataset.name}: train, val and test have fewer than two classes in common: empty rows")


if __name__ == "__main__":
    main()
