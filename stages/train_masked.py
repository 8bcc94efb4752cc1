"""Train one masked model: parts of pictures are hidden from it, and it says what was there."""

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import click

from relume.core.checkpoint import Checkpoint
from relume.core.files import write_csv
from relume.core.runtime import Run, deterministic, device_of
from relume.core.stage import Door, stage
from relume.data.store import Dataset
from relume.methods.masked.config import masked_model
from relume.methods.masked.train import card, masked_lesson, sheet
from relume.training.loop import train, unwatched
from relume.training.models import CARD, write_model
from relume.training.ranks import ranks

FOLDER = click.Path(path_type=Path)
SECTION = "train_masked"


@click.command(help=__doc__)
@click.option("--model", required=True, help="Name below `train_masked.models`; also the method's name in every table.")
@click.option("--images", type=FOLDER, required=True, help="The dataset to learn from.")
@click.option("--tokenizer", type=FOLDER, required=True, help="A trained tokenizer, for BEiT; data/none for others.")
@click.option("--out", type=FOLDER, required=True, help="Folder of the model.")
@click.option("--timing", type=FOLDER, required=True, help="Table of the seconds that it took.")
@stage(SECTION, item="model")
def main(door: Door, model: str, images: Path, tokenizer: Path, out: Path, timing: Path) -> None:
    run, key = door.section(Run, "run"), f"{SECTION}.models.{model}"
    config = masked_model(door.plain(f"{SECTION}.shared"), door.plain(key), key)
    deterministic()
    device = device_of(run)
    with ranks(device) as here:
        here.check(config.training.batch, f"{key}.training.batch")
        where = here.describe(device)
        given = [tokenizer / CARD] if config.tokenized else []
        found = masked_lesson(
            name=model, config=config, run=run, dataset=Dataset.open(images), device=device, tokenizer=tokenizer
        )
        scratch = door.scratch([images / "index.csv", *given], where)
        checkpoint = Checkpoint(scratch.path("training.safetensors"), [])
        with door.live(asdict(config)) if here.first else nullcontext() as live:
            watch = unwatched if live is None else live.log
            trained = train(found.task(), config.training, run, checkpoint=checkpoint, watch=watch, ranks=here)
        if here.first:
            write_model(out, trained, {**card(found), "device": where, **door.provenance()}, sheet(found))
            write_csv(timing, ("step", "seconds"), trained.timing)
            scratch.clear()
            reached, floor = trained.metrics["psnr_masked"], trained.metrics["floor_mean_visible"]
            hidden = f"where it is hidden; the mean of the visible {floor:.2f} dB"
            click.echo(f"{model}: {reached:.2f} dB {'with nothing hidden from it' if found.model.sees_all else hidden}")


if __name__ == "__main__":
    main()
