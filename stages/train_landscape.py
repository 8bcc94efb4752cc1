"""Train one landscape: theta, through which descents in a generator's latent space are fast."""

from pathlib import Path
from typing import Any

import click

from relume.core.stage import StageContext, stage
from relume.methods.gan.trained import read_gan
from relume.methods.landscape.config import LandscapeConfig
from relume.methods.landscape.train import LandscapeTrainer
from relume.training.stage import FOLDER, options, train_entry, weights_option
from relume.training.trainer import Setup


@click.command(help=__doc__)
@click.option("--model", required=True, help="Name below `train_landscape.models`.")
@click.option("--generator", type=FOLDER, required=True, help="The trained generator.")
@weights_option
@options
@stage("train_landscape", item="model")
def main(context: StageContext, model: str, generator: Path, **folders: Any) -> None:
    def build(setup: Setup[LandscapeConfig]) -> LandscapeTrainer:
        return LandscapeTrainer(setup, read_gan(generator, setup.device))

    train_entry(context, "train_landscape.models", model, LandscapeConfig, build, inputs=[generator], **folders)


if __name__ == "__main__":
    main()
