"""Measure the importance of feature maps: decode test images with groups of a tap's channels removed, and with them alone."""

from pathlib import Path

import click
from tqdm import tqdm

from relume.core.run import Run
from relume.core.runtime import deterministic, device_of
from relume.core.stage import StageContext, stage
from relume.data.store import Dataset
from relume.evaluation.config import Maps
from relume.evaluation.maps import Bench
from relume.evaluation.maps_table import Draws, write
from relume.evaluation.perceptual import extractor
from relume.methods.decoder.codec import codecs
from relume.networks.weights import WeightStore

FOLDER = click.Path(path_type=Path)


@click.command(help=__doc__)
@click.option("--images", type=FOLDER, required=True, help="The training dataset of the decoders.")
@click.option("--weights", type=FOLDER, multiple=True, required=True, help="Folders of networks; repeat.")
@click.option("--models", type=FOLDER, required=True, help="Folder of the decoders.")
@click.option("--out", type=FOLDER, required=True, help="Folder of maps.csv, channels.csv and a sheet per decoder.")
@stage("maps")
def main(context: StageContext, images: Path, weights: tuple[Path, ...], models: Path, out: Path) -> None:
    run, config = context.section(Run, "run"), context.section(Maps, "maps")
    draws = Draws(seed=run.seed, resamples=context.plain("compare.resamples"), level=context.plain("compare.level"))
    deterministic()
    device, store = device_of(run), WeightStore(*weights)
    bench = Bench(
        dataset=Dataset.open(images),
        config=config,
        extractor=extractor(config.metrics if config.decoders else (), [], store, device),
        seed=run.seed,
        micro_batch=run.micro_batch,
        device=device,
    )
    decoders = codecs([models / name for name in config.decoders], bench.dataset, store, device)
    count = len(bench.dataset.select(config.split, config.count))
    with tqdm(total=count * len(decoders), desc="maps", unit="image") as bar:
        write(out, decoders, bench, draws, bar.update)


if __name__ == "__main__":
    main()
