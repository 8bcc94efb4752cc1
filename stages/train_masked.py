"""Train one masked model: parts of images are hidden from it, and it predicts them."""

from pathlib import Path
from typing import Any

import click

from relume.core.stage import StageContext, stage
from relume.methods.masked.config import MaskedConfig
from relume.methods.masked.train import MaskedTrainer
from relume.training.stage import FOLDER, optional, options, train_entry


@click.command(help=__doc__)
@click.option("--model", required=True, help="Name below `train_masked.models`; also the method's name in every table.")
@click.option("--tokenizer", type=FOLDER, required=True, help="A trained tokenizer, for BEiT; data/none: none.")
@options
@stage("train_masked", item="model")
def main(context: StageContext, model: str, tokenizer: Path, images: Path, **folders: Any) -> None:
    given = optional(tokenizer)
    train_entry(
        context,
        "train_masked.models",
        model,
        MaskedConfig,
        lambda setup: MaskedTrainer(setup, given),
        images=images,
        inputs=[given],
        **folders,
    )


if __name__ == "__main__":
    main()
