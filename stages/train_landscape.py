"""Train one landscape: theta, through which descents in a generator's latent space are fast."""

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
from relume.methods.landscape.config import landscape_model
from relume.methods.landscape.train import card, kept, landscape_lesson, sheet
from relume.networks.weights import WeightStore
from relume.training.loop import LOSS, train, unwatched
from relume.training.models import CARD, write_model
from relume.training.ranks import ranks

FOLDER = click.Path(path_type=Path)
SECTION = "train_landscape"


@click.command(help=__doc__)
@click.option("--model", required=True, help="Name below `train_landscape.models`.")
@click.option("--images", type=FOLDER, required=True, help="The dataset whose pictures are looked for.")
@click.option("--weights", type=FOLDER, multiple=True, required=True, help="Folders of networks; repeat.")
@click.option("--generator", type=FOLDER, required=True, help="The trained generator.")
@click.option("--out", type=FOLDER, required=True, help="Folder of the model.")
@click.option("--timing", type=FOLDER, required=True, help="Table of the seconds that it took.")
@stage(SECTION, item="model")
def main(door: Door, model: str, images: Path, weights: tuple[Path, ...], generator: Path, out: Path, timing: Path) -> None:
    run, key = door.section(Run, "run"), f"{SECTION}.models.{model}"
    config = landscape_model(door.plain(f"{SECTION}.shared"), door.plain(key), key)
    deterministic()
    device = device_of(run)
    with ranks(device) as here:
        here.check(config.training.batch, f"{key}.training.batch")
        config.check(here.count, f"{key}.descents.walkers")
        where = here.describe(device)
        found = landscape_lesson(
            name=model,
            config=config,
            run=run,
            dataset=Dataset.open(images),
            store=WeightStore(*weights),
            trained=read_gan(generator, device),
            device=device,
        )
        cards = [path for folder in weights for path in sorted(folder.glob(f"**/{CARD}"))]
        scratch = door.scratch([images / "index.csv", generator / CARD, *cards], where)
        checkpoint = Checkpoint(scratch.path("training.safetensors"), [])
        with door.live(asdict(config)) if here.first else nullcontext() as live:
            watch = unwatched if live is None else live.log
            trained = kept(train(found.task(), config.training, run, checkpoint=checkpoint, watch=watch, ranks=here))
        if here.first:
            write_model(out, trained, {**card(found), "device": where, **door.provenance()}, sheet(found))
            write_csv(timing, ("step", "seconds"), trained.timing)
            scratch.clear()
            told = f"a loss of {trained.metrics[LOSS]:.4f} after {config.descents.steps} steps"
            click.echo(f"{model}: {told}; without it {trained.metrics['loss_plain']:.4f}")


if __name__ == "__main__":
    main()
