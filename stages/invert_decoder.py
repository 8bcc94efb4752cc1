"""Decode the features of a dataset's images with trained decoders: one group, one method per decoder."""

from dataclasses import asdict
from pathlib import Path

import click

from relume.core.results import write_group
from relume.core.runtime import Run, describe, deterministic, device_of
from relume.core.stage import StageContext, stage
from relume.data.store import Dataset
from relume.methods.decoder.config import InvertDecoder
from relume.methods.decoder.infer import decode
from relume.methods.decoder.shipped import find
from relume.methods.decoder.trained import read_decoder
from relume.networks.network import load
from relume.networks.weights import WeightStore

FOLDER = click.Path(path_type=Path)


@click.command(help=__doc__)
@click.option("--group", required=True, help="Name below `invert_decoder` in params.yaml.")
@click.option("--images", type=FOLDER, required=True, help="The dataset whose features are decoded.")
@click.option("--weights", type=FOLDER, multiple=True, required=True, help="Folders of networks; repeat.")
@click.option("--models", type=FOLDER, multiple=True, required=True, help="Folders of decoders; repeat.")
@click.option("--out", type=FOLDER, required=True, help="Folder of the group.")
@stage("invert_decoder", item="group")
def main(context: StageContext, group: str, images: Path, weights: tuple[Path, ...], models: tuple[Path, ...], out: Path) -> None:
    run, config = context.section(Run, "run"), context.section(InvertDecoder, f"invert_decoder.{group}")
    deterministic()
    device, store = device_of(run), WeightStore(*weights)
    decoders = [read_decoder(find(name, models), device) for name in config.decoders]
    networks = {name: load(name, store, device) for name in dict.fromkeys(decoder.network for decoder in decoders)}
    dataset, batch = Dataset.open(images), run.micro_batch
    pictures, rows, timing = decode(decoders, dataset, config, networks=networks, device=device, micro_batch=batch, folder=out)
    method = {"config": asdict(config), "device": describe(device), **context.provenance()}
    write_group(out, images=pictures, rows=rows, method=method, timing=timing)


if __name__ == "__main__":
    main()
