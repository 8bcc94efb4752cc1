"""Invert features by optimising a picture until a network sees in it what it saw in the original: one recipe, one group."""

from dataclasses import asdict
from pathlib import Path

import click

from relume.core.door import Door, stage
from relume.core.results import read_group, write_group
from relume.core.runtime import Run, describe, deterministic, device_of
from relume.data.store import Dataset
from relume.features.weights import WeightStore
from relume.inversion.config import variation
from relume.inversion.run import Work, invert
from relume.inversion.targets import Provider
from relume.inversion.terms import heads, objective
from relume.losses.config import Losses


@click.command(help=__doc__)
@click.option("--recipe", required=True, help="Name below `recipes` in params.yaml; also the method's name in every table.")
@click.option("--images", type=click.Path(path_type=Path), required=True, help="The dataset whose features are inverted.")
@click.option("--weights", type=click.Path(path_type=Path), multiple=True, required=True, help="Folders of networks; repeat.")
@click.option("--start", type=click.Path(path_type=Path), required=True, help="A group to begin from, or the dataset for none.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the group.")
@stage("invert_optimise", item="recipe")
def main(door: Door, recipe: str, images: Path, weights: tuple[Path, ...], start: Path, out: Path) -> None:
    run = door.section(Run, "run")
    config, own = variation(door.plain("invert_optimise"), door.plain(f"recipes.{recipe}"), f"recipes.{recipe}")
    factors = door.section(Losses, "losses").times(own.losses)
    device, store = device_of(run), WeightStore(*weights)
    deterministic()
    goal = objective(config, factors, heads(config, factors, store, device))
    scratch = door.scratch(
        [images / "index.csv", start / "images.npy", *(folder / "model.json" for folder in weights)], describe(device)
    )
    provider = Provider(Dataset.open(images), store, goal.needs, device)
    with door.live({**asdict(config), "losses": factors}) as live:
        work = Work(
            name=recipe,
            config=config,
            run=run,
            objective=goal,
            provider=provider,
            start=None if start == images else read_group(start),
            scratch=scratch,
            watch=live.log,
        )
        pictures, rows, trace, timing = invert(work)
    method = {"config": asdict(config), "losses": factors, "device": describe(device), **door.provenance()}
    write_group(out, images=pictures, rows=rows, trace=trace, timing=timing, method=method)
    scratch.clear()


if __name__ == "__main__":
    main()
