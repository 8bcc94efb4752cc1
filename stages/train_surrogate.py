"""Train one surrogate embedding: from features of one network to those of another."""

from pathlib import Path
from typing import Any

import click

from relume.core.stage import StageContext, stage
from relume.methods.surrogate.config import SurrogateConfig
from relume.methods.surrogate.train import SurrogateTrainer
from relume.training.stage import FOLDER, optional, options, train_entry, weights_option


@click.command(help=__doc__)
@click.option("--model", required=True, help="Name below `train_surrogate.models`.")
@click.option("--features", type=FOLDER, required=True, help="Features in the cache; data/none: they are computed.")
@click.option("--target-features", type=FOLDER, required=True, help="Likewise, of what is predicted.")
@weights_option
@options
@stage("train_surrogate", item="model")
def main(context: StageContext, model: str, features: Path, target_features: Path, images: Path, **folders: Any) -> None:
    kept, target = optional(features), optional(target_features)
    train_entry(
        context,
        "train_surrogate.models",
        model,
        SurrogateConfig,
        lambda setup: SurrogateTrainer(setup, kept, target),
        images=images,
        inputs=[kept, target],
        **folders,
    )


if __name__ == "__main__":
    main()
