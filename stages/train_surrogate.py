"""Train one surrogate embedding: from features of one network to what another would see."""

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import click

from relume.core.checkpoint import Checkpoint
from relume.core.files import given, write_csv
from relume.core.runtime import Run, deterministic, device_of
from relume.core.stage import Door, stage
from relume.data.store import Dataset
from relume.methods.surrogate.config import surrogate
from relume.methods.surrogate.train import card, settled, sheet, surrogate_lesson
from relume.networks.store import STATS
from relume.networks.weights import WeightStore
from relume.training.loop import train, unwatched
from relume.training.models import write_model
from relume.training.ranks import ranks

FOLDER = click.Path(path_type=Path)
SECTION = "train_surrogate"


@click.command(help=__doc__)
@click.option("--model", required=True, help="Name below `train_surrogate.models`.")
@click.option("--images", type=FOLDER, required=True, help="The dataset to learn from.")
@click.option("--weights", type=FOLDER, multiple=True, required=True, help="Folders of networks; repeat.")
@click.option("--features", type=FOLDER, required=True, help="Features in the cache; data/none: they are computed.")
@click.option("--target-features", type=FOLDER, required=True, help="Likewise, of what is predicted.")
@click.option("--out", type=FOLDER, required=True, help="Folder of the model.")
@click.option("--timing", type=FOLDER, required=True, help="Table of the seconds that it took.")
@stage(SECTION, item="model")
def main(
    door: Door,
    model: str,
    images: Path,
    weights: tuple[Path, ...],
    features: Path,
    target_features: Path,
    out: Path,
    timing: Path,
) -> None:
    run, key = door.section(Run, "run"), f"{SECTION}.models.{model}"
    config = surrogate(door.plain(f"{SECTION}.shared"), door.plain(key), key)
    deterministic()
    device = device_of(run)
    kept, target = (folder if given(folder) else None for folder in (features, target_features))
    with ranks(device) as here:
        here.check(config.training.batch, f"{key}.training.batch")
        where = here.describe(device)
        cards = [path for folder in weights for path in sorted(folder.glob("**/model.json"))]
        caches = [folder / STATS for folder in (kept, target) if folder is not None]
        scratch = door.scratch([images / "index.csv", *cards, *caches], where)
        found = surrogate_lesson(
            name=model,
            config=config,
            run=run,
            dataset=Dataset.open(images),
            store=WeightStore(*weights),
            device=device,
            features=kept,
            target=target,
        )
        checkpoint = Checkpoint(scratch.path("training.safetensors"), [])
        with door.live(asdict(config)) if here.first else nullcontext() as live:
            watch = unwatched if live is None else live.log
            trained = train(found.task(), config.training, run, checkpoint=checkpoint, watch=watch, ranks=here)
        if here.first:
            trained = settled(found, trained)
            write_model(out, trained, {**card(found), "device": where, **door.provenance()}, sheet(found))
            write_csv(timing, ("step", "seconds"), trained.timing)
            scratch.clear()
            told = {name: trained.metrics[name] for name in ("similarity", *found.known)}
            click.echo(f"{model}: cosine in validation: {', '.join(f'{name} {value:.3f}' for name, value in told.items())}")


if __name__ == "__main__":
    main()
