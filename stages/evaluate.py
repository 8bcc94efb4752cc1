"""Score the reconstructions of one group, image by image."""

from pathlib import Path
from typing import Annotated

from tqdm import tqdm

from relume.core.errors import UserError
from relume.core.files import write_csv
from relume.core.results import read_descent
from relume.core.run import Run
from relume.core.runtime import deterministic, device_of
from relume.core.stage import StageContext, stage
from relume.data.store import Dataset
from relume.evaluation.config import PATHS, Evaluate
from relume.evaluation.metrics import SETS
from relume.evaluation.paths import path_rows
from relume.evaluation.perceptual import extractor
from relume.evaluation.scoring import MASKED_COLUMNS, Scorer, columns, inverted, read, read_scales, score, with_views
from relume.evaluation.sets import open_metric_network, set_rows
from relume.networks.weights import WeightStore


@stage("evaluate", item="group")
def main(
    context: StageContext,
    group: Annotated[str, "The group's name."],
    reconstructions: Annotated[Path, "The group's folder."],
    images: Annotated[Path, "Folder of the originals' datasets."],
    out: Annotated[Path, "The table to write."],
    sets: Annotated[Path, "The table of set metrics."],
    paths: Annotated[Path, "The table of metrics of intermediate images; no rows for masked groups."],
    features: Annotated[tuple[Path, ...], "Folder of a dataset's features; repeat. For feature_error."] = (),
    weights: Annotated[tuple[Path, ...], "Folders of networks; repeat."] = (),
) -> None:
    run, config = context.section(Run, "run"), context.section(Evaluate, "evaluate")
    deterministic()
    found, masks = read(reconstructions)
    if found.name != group:
        raise UserError(f"--group is {group}, but --reconstructions is the folder of {found.name}")
    kinds = inverted(found) if "feature_error" in config.metrics else []
    device, store = device_of(run), WeightStore(*weights)
    datasets = {name: Dataset.open(images / name) for name in dict.fromkeys(row["dataset"] for row in found.index)}
    folders = {folder.resolve().name: folder for folder in features}
    others = [place for _, place in config.views] if masks is None else []
    taps = [(name, *place) for name in datasets for place in config.other_taps] if masks is None else []
    scorer = Scorer(
        datasets=datasets,
        extractor=extractor(config.metrics, [kind[1:] for kind in kinds], store, device, views=others),
        scales=read_scales(list(dict.fromkeys([*kinds, *taps])), folders),
        metrics=config.metrics,
        micro_batch=run.micro_batch,
        device=device,
    )
    if masks is None:
        scorer = with_views(scorer, found, config, folders)
    sizes = [data.size for data in scorer.datasets.values()]
    metric_network = open_metric_network(config.sets, sizes, store, device=device, micro_batch=run.micro_batch)
    with tqdm(total=len(found.index), desc=f"evaluate {group}", unit="image") as bar:
        rows = score(found, scorer, bar.update, masks=masks)
    steps = [] if masks is not None else path_rows(found, read_descent(reconstructions), rows, scorer, config.paths)
    write_csv(paths, PATHS, steps)
    write_csv(sets, SETS, [] if metric_network is None else set_rows(found, masks, scorer.datasets, metric_network, run.seed))
    write_csv(out, columns(config) if masks is None else MASKED_COLUMNS, rows)


if __name__ == "__main__":
    main()
