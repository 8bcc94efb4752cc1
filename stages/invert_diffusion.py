"""Invert the features of a dataset by denoisers: predictions, samples, and their means and spreads."""

from dataclasses import asdict
from pathlib import Path

import click

from relume.core.results import write_array, write_group
from relume.core.runtime import Run, describe, deterministic, device_of
from relume.core.stage import StageContext, stage
from relume.data.store import Dataset
from relume.methods.diffusion.config import InvertDiffusion
from relume.methods.diffusion.infer import invert, read_denoiser
from relume.methods.diffusion.spread import SPREAD
from relume.networks.network import load
from relume.networks.weights import WeightStore

FOLDER = click.Path(path_type=Path)


@click.command(help=__doc__)
@click.option("--group", required=True, help="Name below `invert_diffusion` in params.yaml.")
@click.option("--images", type=FOLDER, required=True, help="The dataset whose features are inverted.")
@click.option("--weights", type=FOLDER, multiple=True, required=True, help="Folders of networks; repeat.")
@click.option("--models", type=FOLDER, required=True, help="Folder of the denoisers.")
@click.option("--out", type=FOLDER, required=True, help="Folder of the group.")
@stage("invert_diffusion", item="group")
def main(context: StageContext, group: str, images: Path, weights: tuple[Path, ...], models: Path, out: Path) -> None:
    run, config = context.section(Run, "run"), context.section(InvertDiffusion, f"invert_diffusion.{group}")
    deterministic()
    device, store = device_of(run), WeightStore(*weights)
    denoisers = {name: read_denoiser(models / name, device) for name in {seen.model: None for seen in config.seen.values()}}
    networks = {name: load(name, store, device) for name in {model.network: None for model in denoisers.values()}}
    found = invert(denoisers, Dataset.open(images), config, networks=networks, run=run, device=device, folder=out)
    method = {"config": asdict(config), "device": describe(device), **context.provenance()}
    write_array(out / SPREAD, found.spread)
    write_group(out, images=found.pictures, rows=found.rows, method=method, timing=found.timing)


if __name__ == "__main__":
    main()
