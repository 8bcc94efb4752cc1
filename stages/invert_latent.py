"""Invert features in a generator's latent space: its mean image, a mapper's images and all methods, as one group."""

import os
from dataclasses import asdict
from pathlib import Path

import click

from relume.core.files import given
from relume.core.results import write_group
from relume.core.runtime import Run, describe, deterministic, device_of
from relume.core.stage import StageContext, stage
from relume.data.store import Dataset
from relume.methods.gan.trained import read_gan
from relume.methods.latent.config import InvertLatent, inherited
from relume.methods.latent.infer import Studio, follow, invert_all
from relume.methods.latent.trained import read_mapper
from relume.networks.weights import WeightStore
from relume.training.models import CARD

FOLDER = click.Path(path_type=Path)
SECTION = "invert_latent"
FRAMES = "RELUME_FRAMES"  # steps between image sheets in the live view; the result does not depend on it


@click.command(help=__doc__)
@click.option("--group", required=True, help="Name below `invert_latent` in params.yaml.")
@click.option("--images", type=FOLDER, required=True, help="The dataset whose features are inverted.")
@click.option("--weights", type=FOLDER, multiple=True, required=True, help="Folders of networks; repeat.")
@click.option("--generator", type=FOLDER, required=True, help="The trained generator.")
@click.option("--mapper", type=FOLDER, required=True, help="A mapper to its latents, or data/none.")
@click.option("--out", type=FOLDER, required=True, help="Folder of the group.")
@stage(SECTION, item="group")
def main(
    context: StageContext, group: str, images: Path, weights: tuple[Path, ...], generator: Path, mapper: Path, out: Path
) -> None:
    run, key = context.section(Run, "run"), f"{SECTION}.{group}"
    config = inherited(context.section(InvertLatent, key), context.plain("invert_optimise"))
    device = device_of(run)
    deterministic()
    cards = [card for folder in (*weights, mapper) for card in sorted(folder.glob("**/model.json"))]
    scratch = context.scratch([images / "index.csv", generator / CARD, *cards], describe(device))
    with context.live(asdict(config)) as live:
        studio = Studio(
            run=run,
            dataset=Dataset.open(images),
            store=WeightStore(*weights),
            device=device,
            scratch=scratch.folder,
            generator=read_gan(generator, device).generator,
            mapper=read_mapper(mapper, device) if given(mapper) else None,
            watch=live.log,
            frames=int(os.environ.get(FRAMES, "0")),
        )
        pictures, rows, trace, timing = invert_all(studio, config, key, out)
        descent = follow(studio, config, key)
    method = {"config": asdict(config), "device": describe(device), **context.provenance()}
    write_group(out, images=pictures, rows=rows, trace=trace, timing=timing, method=method, descent=descent)
    scratch.clear()


if __name__ == "__main__":
    main()
