"""Invert features by optimising an image until its features match those of the original: one recipe, one group."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import click

from relume.core.files import given
from relume.core.results import read_group, write_group
from relume.core.runtime import Run, describe, deterministic, device_of
from relume.core.stage import StageContext, stage
from relume.data.store import Dataset
from relume.methods.optimise.config import variation
from relume.methods.optimise.infer import dry_run_report, invert, work
from relume.methods.optimise.path import followed
from relume.methods.surrogate.model import learned
from relume.networks.weights import WeightStore

FRAMES = "RELUME_FRAMES"  # steps between image sheets in the live view; the result does not depend on it


@stage("invert_optimise", item="recipe")
def main(
    context: StageContext,
    recipe: Annotated[str, "Name below `recipes` in params.yaml; also the method's name in every table."],
    images: Annotated[Path, "The dataset whose features are inverted."],
    weights: Annotated[tuple[Path, ...], "Folders of networks; repeat."],
    start: Annotated[Path, "A group with the initial images, or data/none."],
    reference: Annotated[Path, "The group of `ref`, or data/none."],
    surrogate: Annotated[Path, "A trained model, or data/none."],
    out: Annotated[Path, "Folder of the group."],
    dry_run: Annotated[bool, "Check everything, time a few steps, print the estimated time, write nothing."] = False,
) -> None:
    run = context.section(Run, "run")
    key = f"recipes.{recipe}"
    config, inputs = variation(context.plain("invert_optimise"), context.plain("losses"), context.plain(key), key)
    settings = {**asdict(config), "losses": config.losses.active, **asdict(inputs)}
    device, dataset = device_of(run), Dataset.open(images)
    deterministic()
    files = [images / "index.csv", start / "images.npy", reference / "images.npy", surrogate, *weights]
    scratch = context.scratch(files, describe(device))
    with context.live(settings) as live:
        prepared = work(
            name=recipe,
            config=config,
            run=run,
            dataset=dataset,
            store=WeightStore(*weights),
            device=device,
            scratch=scratch,
            start=read_group(start) if given(start) else None,
            reference=read_group(reference) if given(reference) else None,
            surrogate=learned(surrogate, device) if given(surrogate) else None,
            watch=live.log,
            frames=int(os.environ.get(FRAMES, "0")),
        )
        if dry_run:
            click.echo(dry_run_report(prepared))
            return
        pictures, rows, trace, timing = invert(prepared, out)
    descent = followed(recipe, dataset.ids(dataset.select(config.split, config.count)), config.steps, scratch)
    method = context.method(settings, describe(device))
    write_group(out, images=pictures, rows=rows, trace=trace, timing=timing, method=method, descent=descent)
    scratch.clear()


if __name__ == "__main__":
    main()
