"""Train one mapper: from taps of a frozen network to the latent of a frozen generator, in one pass."""

from pathlib import Path
from typing import Any

import click

from relume.core.stage import StageContext, stage
from relume.methods.gan.trained import read_gan
from relume.methods.latent.config import MapperConfig
from relume.methods.latent.train import MapperTrainer
from relume.training.stage import FOLDER, options, train_entry, weights_option
from relume.training.trainer import Setup


@click.command(help=__doc__)
@click.option("--model", required=True, help="Name below `train_mapper.models`; also the method's name in every table.")
@click.option("--generator", type=FOLDER, required=True, help="The trained generator.")
@weights_option
@options
@stage("train_mapper", item="model")
def main(context: StageContext, model: str, generator: Path, **folders: Any) -> None:
    def build(setup: Setup[MapperConfig]) -> MapperTrainer:
        return MapperTrainer(setup, read_gan(generator, setup.device))

    train_entry(context, "train_mapper.models", model, MapperConfig, build, inputs=[generator], **folders)


if __name__ == "__main__":
    main()
