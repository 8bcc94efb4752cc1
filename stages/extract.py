"""Extract the features of a dataset by one network: statistics of all taps, values of small taps."""

from pathlib import Path
from typing import Annotated

from relume.core.errors import UserError
from relume.core.runtime import Run, autocast, deterministic, device_of
from relume.core.stage import StageContext, stage
from relume.data.store import Dataset
from relume.networks import network as networks
from relume.networks.extract import ForwardPass, Pictures, extract
from relume.networks.weights import WeightStore


@stage("extract", item="network")
def main(
    context: StageContext,
    dataset: Annotated[str, "Name below `prepare.datasets`."],
    network: Annotated[str, "One of `extract.networks`."],
    images: Annotated[Path, "The dataset's folder."],
    weights: Annotated[Path, "The network's folder."],
    out: Annotated[Path, "Folder of the features."],
) -> None:
    run, given = context.section(Run, "run"), context.plain("extract")  # plain: dvc.yaml declares only some of its keys
    whole = given.get("cached") is None or network in given["cached"]
    budget_mb = given["budget_mb"] if whole or network in given.get("held_out", ()) else 0
    device, prepared = device_of(run), Dataset.open(images)
    if prepared.name != dataset:
        raise UserError(f"--images {images} is dataset {prepared.name}, not {dataset}")
    deterministic()
    train = [number for number, row in enumerate(prepared.index) if row["split"] == "train"]
    split, sample = ("train", train) if train else ("all", list(range(len(prepared.index))))
    held_out = [number for number, row in enumerate(prepared.index) if row["split"] != "train"]
    pictures = Pictures(
        dataset=dataset,
        images=prepared.images,
        sample=sample[: given["pictures"]],
        split=split,
        kept=None if whole or not budget_mb else held_out,
    )
    loaded = networks.load(network, WeightStore(weights), device)
    through = ForwardPass(network=loaded, device=device, micro_batch=run.micro_batch, precision=autocast(run, device))
    extract(through, pictures, out, budget_mb=budget_mb)


if __name__ == "__main__":
    main()
