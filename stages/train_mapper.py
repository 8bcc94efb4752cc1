"""Train one mapper: from taps of a frozen network to the latent of a frozen generator, in one pass."""

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import click

from relume.core.checkpoint import Checkpoint
from relume.core.files import write_csv
from relume.core.runtime import Run, deterministic, device_of
from relume.core.stage import Door, stage
from relume.data.store import Dataset
from relume.methods.gan.trained import read_gan
from relume.methods.latent.config import mapper
from relume.methods.latent.train import card, mapper_lesson, sheet
from relume.networks.weights import WeightStore
from relume.training.loop import train, unwatched
from relume.training.models import CARD, write_model
from relume.training.ranks import ranks

FOLDER = click.Path(path_type=Path)
SECTION = "train_mapper"


@click.command(help=__doc__)
@click.option("--model", required=True, help="Name below `train_mapper.models`; also the method's name in every table.")
@click.option("--images", type=FOLDER, required=True, help="The dataset to learn from.")
@click.option("--weights", type=FOLDER, required=True, help="Folder of the network.")
@click.option("--generator", type=FOLDER, required=True, help="The trained generator.")
@click.option("--out", type=FOLDER, required=True, help="Folder of the model.")
@click.option("--timing", type=FOLDER, required=True, help="Table of the seconds that it took.")
@stage(SECTION, item="model")
def main(door: Door, model: str, images: Path, weights: Path, generator: Path, out: Path, timing: Path) -> None:
    run, key = door.section(Run, "run"), f"{SECTION}.models.{model}"
    config = mapper(door.plain(f"{SECTION}.shared"), door.plain(key), key)
    deterministic()
    device = device_of(run)
    with ranks(device) as here:
        here.check(config.training.batch, f"{key}.training.batch")
        where = here.describe(device)
        found = mapper_lesson(
            name=model,
            config=config,
            run=run,
            dataset=Dataset.open(images),
            store=WeightStore(weights),
            trained=read_gan(generator, device),
            device=device,
        )
        cards = [generator / CARD, *sorted(weights.glob("**/model.json"))]
        scratch = door.scratch([images / "index.csv", *cards], where)
        checkpoint = Checkpoint(scratch.path("training.safetensors"), [])
        with door.live(asdict(config)) if here.first else nullcontext() as live:
            watch = unwatched if live is None else live.log
            trained = train(found.task(), config.training, run, checkpoint=checkpoint, watch=watch, ranks=here)
        if here.first:
            write_model(out, trained, {**card(found), "device": where, **door.provenance()}, sheet(found))
            write_csv(timing, ("step", "seconds"), trained.timing)
            scratch.clear()
            reached = trained.metrics
            floors = f"own mean colours {reached['floor_own_mean']:.2f} dB, the mean latent {reached['floor_mean_latent']:.2f} dB"
            click.echo(f"{model}: {reached['psnr']:.2f} dB in validation; {floors}")


if __name__ == "__main__":
    main()
