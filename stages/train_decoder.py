"""Train one decoder: from taps of a frozen network back to the images."""

from pathlib import Path
from typing import Any

import click

from relume.core.stage import StageContext, stage
from relume.methods.decoder.config import DecoderConfig
from relume.methods.decoder.train import DecoderTrainer
from relume.training.stage import FOLDER, optional, options, train_entry, weights_option


@click.command(help=__doc__)
@click.option("--decoder", required=True, help="Name below `train_decoder.decoders`; also the method's name in every table.")
@click.option("--features", type=FOLDER, required=True, help="Its features in the cache; data/none: they are computed.")
@weights_option
@options
@stage("train_decoder", item="decoder")
def main(context: StageContext, decoder: str, features: Path, images: Path, **folders: Any) -> None:
    kept = optional(features)
    train_entry(
        context,
        "train_decoder.decoders",
        decoder,
        DecoderConfig,
        lambda setup: DecoderTrainer(setup, kept),
        images=images,
        inputs=[kept],
        **folders,
    )


if __name__ == "__main__":
    main()
