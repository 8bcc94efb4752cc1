"""Invert the features of a dataset by denoisers: predictions, samples, and their means and spreads."""

from pathlib import Path
from typing import Annotated

from relume.core.results import write_array, write_group
from relume.core.runtime import Run, describe, deterministic, device_of
from relume.core.stage import StageContext, stage
from relume.data.store import Dataset
from relume.methods.diffusion.config import InvertDiffusion
from relume.methods.diffusion.infer import invert, read_denoiser
from relume.methods.diffusion.spread import SPREAD
from relume.networks.network import load
from relume.networks.weights import WeightStore


@stage("invert_diffusion", item="group")
def main(
    context: StageContext,
    group: Annotated[str, "Name below `invert_diffusion` in params.yaml."],
    images: Annotated[Path, "The dataset whose features are inverted."],
    weights: Annotated[tuple[Path, ...], "Folders of networks; repeat."],
    models: Annotated[Path, "Folder of the denoisers."],
    out: Annotated[Path, "Folder of the group."],
) -> None:
    run, config = context.section(Run, "run"), context.section(InvertDiffusion, f"invert_diffusion.{group}")
    deterministic()
    device, store = device_of(run), WeightStore(*weights)
    denoisers = {name: read_denoiser(models / name, device) for name in {seen.model: None for seen in config.seen.values()}}
    networks = {name: load(name, store, device) for name in {model.network: None for model in denoisers.values()}}
    found = invert(denoisers, Dataset.open(images), config, networks=networks, run=run, device=device, folder=out)
    method = context.method(config, describe(device))
    write_array(out / SPREAD, found.spread)
    write_group(out, images=found.pictures, rows=found.rows, method=method, timing=found.timing)


if __name__ == "__main__":
    main()
