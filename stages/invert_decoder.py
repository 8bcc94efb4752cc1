"""Decode the features of a dataset's images with trained decoders: one group, one method per decoder."""

from pathlib import Path
from typing import Annotated

from relume.core.results import write_group
from relume.core.runtime import Run, describe, deterministic, device_of
from relume.core.stage import StageContext, stage
from relume.data.store import Dataset
from relume.methods.decoder.config import InvertDecoder
from relume.methods.decoder.infer import decode
from relume.methods.decoder.model import read_decoder
from relume.methods.decoder.shipped import find
from relume.networks.network import load
from relume.networks.weights import WeightStore


@stage("invert_decoder", item="group")
def main(
    context: StageContext,
    group: Annotated[str, "Name below `invert_decoder` in params.yaml."],
    images: Annotated[Path, "The dataset whose features are decoded."],
    weights: Annotated[tuple[Path, ...], "Folders of networks; repeat."],
    models: Annotated[tuple[Path, ...], "Folders of decoders; repeat."],
    out: Annotated[Path, "Folder of the group."],
) -> None:
    run, config = context.section(Run, "run"), context.section(InvertDecoder, f"invert_decoder.{group}")
    deterministic()
    device, store = device_of(run), WeightStore(*weights)
    decoders = [read_decoder(find(name, models), device) for name in config.decoders]
    networks = {name: load(name, store, device) for name in dict.fromkeys(decoder.network for decoder in decoders)}
    dataset, batch = Dataset.open(images), run.micro_batch
    pictures, rows, timing = decode(decoders, dataset, config, networks=networks, device=device, micro_batch=batch, folder=out)
    method = context.method(config, describe(device))
    write_group(out, images=pictures, rows=rows, method=method, timing=timing)


if __name__ == "__main__":
    main()
