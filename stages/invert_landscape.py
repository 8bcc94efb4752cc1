"""Invert a generator for given images, with and without a learned landscape, as one group."""

from pathlib import Path
from typing import Annotated

from relume.core.files import given, write_csv
from relume.core.results import new_images, write_group
from relume.core.runtime import Run, describe, deterministic, device_of
from relume.core.stage import StageContext, stage
from relume.data.store import Dataset
from relume.evaluation.statistics import CURVES, curves
from relume.methods.gan.model import read_gan
from relume.methods.landscape.config import InvertLandscape
from relume.methods.landscape.infer import follow, index, invert, plan, search, timing, trace
from relume.networks.weights import WeightStore

SECTION = "invert_landscape"


@stage(SECTION, item="group")
def main(
    context: StageContext,
    group: Annotated[str, "Name below `invert_landscape` in params.yaml."],
    images: Annotated[Path, "The dataset whose images are inverted."],
    weights: Annotated[tuple[Path, ...], "Folders of networks; repeat."],
    generator: Annotated[Path, "The trained generator."],
    landscape: Annotated[Path, "The landscape that was trained with the generator."],
    mapper: Annotated[Path, "A mapper to its latents, or data/none."],
    out: Annotated[Path, "Folder of the group."],
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
    scratch = context.scratch([images / "index.csv", generator, landscape, mapper, *weights], describe(device))
    rows = dataset.select(config.split, config.count)
    pictures = new_images(out, len(plan(config)) * len(rows), dataset.size)
    found = invert(prepared, config, rows, scratch, pictures)
    table = index(found, config, dataset, rows)
    method = context.method(config, describe(device))
    sources = [dataset.index[row]["source"] for row in rows]
    values = {key: one.best for key, one in found.items()}
    drawn = curves(values, sources, seed=run.seed, resamples=config.interval.resamples, level=config.interval.level)
    write_csv(out / "curves.csv", CURVES, drawn)
    descent = follow(found, config, dataset.ids(rows))
    write_group(out, images=pictures, rows=table, trace=trace(found), timing=timing(found), method=method, descent=descent)
    scratch.clear()


if __name__ == "__main__":
    main()
