"""Measure the set distances between generators' samples and held-out images."""

from pathlib import Path
from typing import Annotated

from relume.core.files import write_csv
from relume.core.run import Run
from relume.core.runtime import deterministic, device_of
from relume.core.stage import StageContext, stage
from relume.data.store import Dataset
from relume.evaluation.config import Evaluate, ScoreSamples
from relume.evaluation.sample_sets import SCORED, read_scored, sample_rows
from relume.evaluation.sets import open_metric_network
from relume.networks.weights import WeightStore


@stage("score_samples")
def main(
    context: StageContext,
    samples: Annotated[Path, "Folder of all generators' samples."],
    images: Annotated[Path, "Folder of the datasets."],
    weights: Annotated[tuple[Path, ...], "Folders of networks; repeat."],
    out: Annotated[Path, "The table to write."],
) -> None:
    run, config = context.section(Run, "run"), context.section(ScoreSamples, "score_samples")
    deterministic()
    found = read_scored(samples, config)
    datasets = {name: Dataset.open(images / name) for name in dict.fromkeys(one.about.dataset for one, _ in found.values())}
    sizes = [data.size for data in datasets.values()]
    sets = context.section(Evaluate, "evaluate").sets if found else None
    metric_network = open_metric_network(sets, sizes, WeightStore(*weights), device=device_of(run), micro_batch=run.micro_batch)
    write_csv(out, SCORED, [] if metric_network is None else sample_rows(found, datasets, metric_network, config, run.seed))


if __name__ == "__main__":
    main()
