"""Measure the importance of feature maps: decode test images with groups of a tap's channels removed, and with them alone."""

from pathlib import Path
from typing import Annotated

from tqdm import tqdm

from relume.core.run import Run
from relume.core.runtime import deterministic, device_of
from relume.core.stage import StageContext, stage
from relume.data.store import Dataset
from relume.evaluation.config import Maps
from relume.evaluation.maps import Bench
from relume.evaluation.maps_table import Draws, write
from relume.evaluation.perceptual import extractor
from relume.methods.decoder.infer import codecs
from relume.methods.decoder.shipped import find
from relume.networks.weights import WeightStore


@stage("maps")
def main(
    context: StageContext,
    images: Annotated[Path, "A dataset; channels are ranked on its training images."],
    weights: Annotated[tuple[Path, ...], "Folders of networks; repeat."],
    models: Annotated[tuple[Path, ...], "Folders of decoders; repeat."],
    out: Annotated[Path, "Folder of maps.csv, channels.csv and a sheet per decoder."],
) -> None:
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
    decoders = codecs([find(name, models) for name in config.decoders], bench.dataset, store, device)
    count = len(bench.dataset.select(config.split, config.count))
    with tqdm(total=count * len(decoders), desc="maps", unit="image") as bar:
        write(out, decoders, bench, draws, bar.update)


if __name__ == "__main__":
    main()
