"""Invert features by optimising an image until its features match those of the original: one recipe, one group."""

import os
from dataclasses import asdict
from pathlib import Path

import click

from relume.core.files import given
from relume.core.results import read_group, write_group
from relume.core.runtime import Run, describe, deterministic, device_of
from relume.core.stage import StageContext, stage
from relume.data.store import Dataset
from relume.methods.optimise.config import variation
from relume.methods.optimise.infer import dry_run_report, invert, work
from relume.methods.optimise.path import followed
from relume.methods.surrogate.infer import learned
from relume.networks.weights import WeightStore

FRAMES = "RELUME_FRAMES"  # steps between image sheets in the live view; the result does not depend on it


@click.command(help=__doc__)
@click.option("--recipe", required=True, help="Name below `recipes` in params.yaml; also the method's name in every table.")
@click.option("--images", type=click.Path(path_type=Path), required=True, help="The dataset whose features are inverted.")
@click.option("--weights", type=click.Path(path_type=Path), multiple=True, required=True, help="Folders of networks; repeat.")
@click.option("--start", type=click.Path(path_type=Path), required=True, help="A group with the initial images, or data/none.")
@click.option("--reference", type=click.Path(path_type=Path), required=True, help="The group of `ref`, or data/none.")
@click.option("--surrogate", type=click.Path(path_type=Path), required=True, help="A trained model, or data/none.")
@click.option("--dry-run", is_flag=True, help="Check everything, time a few steps, print the estimated time, write nothing.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the group.")
@stage("invert_optimise", item="recipe")
def main(
    context: StageContext,
    recipe: str,
    images: Path,
    weights: tuple[Path, ...],
    start: Path,
    reference: Path,
    surrogate: Path,
    out: Path,
    dry_run: bool,
) -> None:
    run = context.section(Run, "run")
    key = f"recipes.{recipe}"
    config, _ = variation(context.plain("invert_optimise"), context.plain("losses"), context.plain(key), key)
    settings = {**asdict(config), "losses": config.losses.active}
    device, dataset = device_of(run), Dataset.open(images)
    deterministic()
    cards = [card for folder in (*weights, surrogate) for card in sorted(folder.glob("**/model.json"))]
    inputs = [images / "index.csv", start / "images.npy", reference / "images.npy", *cards]
    scratch = context.scratch(inputs, describe(device))
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
    method = {"config": settings, "device": describe(device), **context.provenance()}
    write_group(out, images=pictures, rows=rows, trace=trace, timing=timing, method=method, descent=descent)
    scratch.clear()


if __name__ == "__main__":
    main()
