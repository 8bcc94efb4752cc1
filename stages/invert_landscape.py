"""Invert a generator for given images, with and without a learned landscape, as one group."""

from dataclasses import asdict
from pathlib import Path

import click

from relume.core.files import given, write_csv
from relume.core.results import new_images, write_group
from relume.core.runtime import Run, describe, deterministic, device_of
from relume.core.stage import StageContext, stage
from relume.data.store import Dataset
from relume.evaluation.statistics import CURVES, curves
from relume.methods.gan.trained import read_gan
from relume.methods.landscape.config import InvertLandscape
from relume.methods.landscape.infer import follow, index, invert, plan, search, timing, trace
from relume.networks.weights import WeightStore
from relume.training.models import CARD

FOLDER = click.Path(path_type=Path)
SECTION = "invert_landscape"


@click.command(help=__doc__)
@click.option("--group", required=True, help="Name below `invert_landscape` in params.yaml.")
@click.option("--images", type=FOLDER, required=True, help="The dataset whose images are inverted.")
@click.option("--weights", type=FOLDER, multiple=True, required=True, help="Folders of networks; repeat.")
@click.option("--generator", type=FOLDER, required=True, help="The trained generator.")
@click.option("--landscape", type=FOLDER, required=True, help="The landscape that was trained with the generator.")
@click.option("--mapper", type=FOLDER, required=True, help="A mapper to its latents, or data/none.")
@click.option("--out", type=FOLDER, required=True, help="Folder of the group.")
@stage(SECTION, item="group")
def main(
    context: StageContext,
    group: str,
    images: Path,
    weights: tuple[Path, ...],
    generator: Path,
    landscape: Path,
    mapper: Path,
    out: Path,
) -> None:
    run, config = context.section(Run, "run"), context.section(InvertLandscape, f"{SECTION}.{group}")
    deterministic()
    device, dataset = device_of(run), Dataset.open(images)
    prepared = search(
        dataset=dataset,
        store=WeightStore(*weights),
        trained=read_gan(generator, device),
        landscape=landscape,
        mapper=mapper if given(mapper) else None,
        device=device,
        run=run,
    )
    cards = [card for folder in (*weights, mapper) for card in sorted(folder.glob(f"**/{CARD}"))]
    scratch = context.scratch([images / "index.csv", generator / CARD, landscape / CARD, *cards], describe(device))
    rows = dataset.select(config.split, config.count)
    pictures = new_images(out, len(plan(config)) * len(rows), dataset.size)
    found = invert(prepared, config, rows, scratch, pictures)
    table = index(found, config, dataset, rows)
    method = {"config": asdict(config), "device": describe(device), **context.provenance()}
    sources = [dataset.index[row]["source"] for row in rows]
    values = {key: one.best for key, one in found.items()}
    drawn = curves(values, sources, seed=run.seed, resamples=config.interval.resamples, level=config.interval.level)
    write_csv(out / "curves.csv", CURVES, drawn)
    descent = follow(found, config, dataset.ids(rows))
    write_group(out, images=pictures, rows=table, trace=trace(found), timing=timing(found), method=method, descent=descent)
    scratch.clear()


if __name__ == "__main__":
    main()
