"""Train one decoder: from taps of a frozen network back to the pictures."""

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import click

from relume.core.checkpoint import Checkpoint
from relume.core.files import write_csv
from relume.core.runtime import Run, deterministic, device_of
from relume.core.stage import Door, stage
from relume.data.store import Dataset
from relume.methods.decoder.config import decoder as configured
from relume.methods.decoder.train import card, lesson, sheet
from relume.networks.store import STATS
from relume.networks.weights import WeightStore
from relume.training.loop import train, unwatched
from relume.training.models import write_model
from relume.training.ranks import ranks

FOLDER = click.Path(path_type=Path)
SECTION = "train_decoder"


@click.command(help=__doc__)
@click.option("--decoder", required=True, help="Name below `train_decoder.decoders`; also the method's name in every table.")
@click.option("--images", type=FOLDER, required=True, help="The dataset to learn from.")
@click.option("--weights", type=FOLDER, multiple=True, required=True, help="Folders of networks; repeat.")
@click.option("--features", type=FOLDER, required=True, help="Its features in the cache; data/none: they are computed.")
@click.option("--out", type=FOLDER, required=True, help="Folder of the model.")
@click.option("--timing", type=FOLDER, required=True, help="Table of the seconds that it took.")
@stage(SECTION, item="decoder")
def main(door: Door, decoder: str, images: Path, weights: tuple[Path, ...], features: Path, out: Path, timing: Path) -> None:
    run, key = door.section(Run, "run"), f"{SECTION}.decoders.{decoder}"
    config = configured(door.plain(f"{SECTION}.shared"), door.plain(key), key)
    deterministic()
    device = device_of(run)
    with ranks(device) as here:
        here.check(config.training.batch, f"{key}.training.batch")
        where = here.describe(device)
        cards = [path for folder in weights for path in sorted(folder.glob("**/model.json"))]
        kept = [features / STATS] if config.cached else []
        scratch = door.scratch([images / "index.csv", *cards, *kept], where)
        found = lesson(
            name=decoder,
            config=config,
            run=run,
            dataset=Dataset.open(images),
            store=WeightStore(*weights),
            device=device,
            features=features,
        )
        checkpoint = Checkpoint(scratch.path("training.safetensors"), [])
        with door.live(asdict(config)) if here.first else nullcontext() as live:
            watch = unwatched if live is None else live.log
            trained = train(found.task(), config.training, run, checkpoint=checkpoint, watch=watch, ranks=here)
        if here.first:
            write_model(out, trained, {**card(found), "device": where, **door.provenance()}, sheet(found))
            write_csv(timing, ("step", "seconds"), trained.timing)
            scratch.clear()
            reached = trained.metrics
            click.echo(f"{decoder}: {reached['psnr']:.2f} dB in validation; own mean colours {reached['floor_own_mean']:.2f} dB")


if __name__ == "__main__":
    main()
