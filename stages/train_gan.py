"""Train one generator, and draw its samples."""

from pathlib import Path
from typing import Any

import click

from relume.core.samples import write_samples
from relume.core.stage import StageContext, stage
from relume.methods.gan.config import GanConfig
from relume.methods.gan.train import GanTrainer
from relume.training.stage import FOLDER, options, train_entry, weights_option


@click.command(help=__doc__)
@click.option("--model", required=True, help="Name below `train_gan.models`; also the samples' name in every table.")
@click.option("--samples", type=FOLDER, required=True, help="Folder of its samples.")
@weights_option
@options
@stage("train_gan", item="model")
def main(context: StageContext, model: str, samples: Path, **folders: Any) -> None:
    def write(trainer: GanTrainer) -> None:
        write_samples(samples, trainer.drawn())

    train_entry(context, "train_gan.models", model, GanConfig, GanTrainer, also=write, **folders)


if __name__ == "__main__":
    main()
