"""Train one generator against its discriminator, and draw its samples."""

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import click

from relume.core.checkpoint import Checkpoint
from relume.core.files import write_csv
from relume.core.runtime import Run, deterministic, device_of
from relume.core.samples import write_samples
from relume.core.stage import Door, stage
from relume.data.store import Dataset
from relume.methods.gan.config import gan
from relume.methods.gan.samples import Sampler, sampled
from relume.methods.gan.train import card, gan_lesson, settled, sheet
from relume.networks.weights import WeightStore
from relume.training.loop import train, unwatched
from relume.training.models import write_model
from relume.training.ranks import ranks

FOLDER = click.Path(path_type=Path)
SECTION = "train_gan"


@click.command(help=__doc__)
@click.option("--model", required=True, help="Name below `train_gan.models`; also the samples' name in every table.")
@click.option("--images", type=FOLDER, required=True, help="The dataset to learn from.")
@click.option("--weights", type=FOLDER, required=True, help="Folder of networks: whose eye compares, whose features are judged.")
@click.option("--out", type=FOLDER, required=True, help="Folder of the model.")
@click.option("--samples", type=FOLDER, required=True, help="Folder of its samples.")
@click.option("--timing", type=FOLDER, required=True, help="Table of the seconds that it took.")
@stage(SECTION, item="model")
def main(door: Door, model: str, images: Path, weights: Path, out: Path, samples: Path, timing: Path) -> None:
    run, key = door.section(Run, "run"), f"{SECTION}.models.{model}"
    config = gan(door.plain(f"{SECTION}.shared"), door.plain(key), key)
    deterministic()
    device = device_of(run)
    with ranks(device) as here:
        here.check(config.training.batch, f"{key}.training.batch")
        where, store = here.describe(device), WeightStore(weights)
        found = gan_lesson(name=model, config=config, run=run, dataset=Dataset.open(images), store=store, device=device)
        scratch = door.scratch([images / "index.csv", *sorted(weights.glob("**/model.json"))], where)
        checkpoint = Checkpoint(scratch.path("training.safetensors"), [])
        with door.live(asdict(config)) if here.first else nullcontext() as live:
            watch = unwatched if live is None else live.log
            trained = settled(found, train(found.task(), config.training, run, checkpoint=checkpoint, watch=watch, ranks=here))
        if here.first:
            write_model(out, trained, {**card(found), "device": where, **door.provenance()}, sheet(found))
            sampler = Sampler(model=found.generator, config=config.drawn, seed=run.seed, micro_batch=run.micro_batch)
            write_samples(samples, sampled(sampler, model, found.dataset.name))
            write_csv(timing, ("step", "seconds"), trained.timing)
            scratch.clear()
            reached = trained.metrics["loss"]
            click.echo(f"{model}: KID {reached:.4f} to validation pictures, as {config.eye.network} sees them")


if __name__ == "__main__":
    main()
