"""Invert features in a generator's latent space: its mean image, a mapper's images and all methods, as one group."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from relume.core.files import given
from relume.core.results import write_group
from relume.core.runtime import Run, describe, deterministic, device_of
from relume.core.stage import StageContext, stage
from relume.data.store import Dataset
from relume.methods.gan.model import read_gan
from relume.methods.latent.config import InvertLatent, inherited
from relume.methods.latent.infer import Studio, follow, invert_all
from relume.methods.latent.model import read_mapper
from relume.networks.weights import WeightStore

SECTION = "invert_latent"
FRAMES = "RELUME_FRAMES"  # steps between image sheets in the live view; the result does not depend on it


@stage(SECTION, item="group")
def main(
    context: StageContext,
    group: Annotated[str, "Name below `invert_latent` in params.yaml."],
    images: Annotated[Path, "The dataset whose features are inverted."],
    weights: Annotated[tuple[Path, ...], "Folders of networks; repeat."],
    generator: Annotated[Path, "The trained generator."],
    mapper: Annotated[Path, "A mapper to its latents, or data/none."],
    out: Annotated[Path, "Folder of the group."],
) -> None:
    run, key = context.section(Run, "run"), f"{SECTION}.{group}"
    config = inherited(context.section(InvertLatent, key), context.plain("invert_optimise"))
    device = device_of(run)
    deterministic()
    scratch = context.scratch([images / "index.csv", generator, mapper, *weights], describe(device))
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
    method = context.method(config, describe(device))
    write_group(out, images=pictures, rows=rows, trace=trace, timing=timing, method=method, descent=descent)
    scratch.clear()


if __name__ == "__main__":
    main()
