"""Score the reconstructions of one group, picture by picture."""

from pathlib import Path

import click
from tqdm import tqdm

from relume.core.door import Door, stage
from relume.core.errors import UserError
from relume.core.files import write_csv
from relume.core.results import read_group
from relume.core.run import Run
from relume.core.runtime import deterministic, device_of
from relume.data.store import Dataset
from relume.evaluation.config import Evaluate
from relume.evaluation.perceptual import judge
from relume.evaluation.scoring import COLUMNS, Scorer, inverted, read_scales, score
from relume.features.weights import WeightStore

FOLDER = click.Path(path_type=Path)


@click.command(help=__doc__)
@click.option("--group", required=True, help="The group's name.")
@click.option("--reconstructions", type=FOLDER, required=True, help="The group's folder.")
@click.option("--images", type=FOLDER, multiple=True, required=True, help="Datasets of the originals; repeat.")
@click.option("--features", type=FOLDER, multiple=True, help="Folder of a dataset's features; repeat. For feature_error.")
@click.option("--weights", type=FOLDER, multiple=True, help="Folders of networks; repeat.")
@click.option("--out", type=FOLDER, required=True, help="The table to write.")
@stage("evaluate", item="group")
def main(
    door: Door,
    group: str,
    reconstructions: Path,
    images: tuple[Path, ...],
    features: tuple[Path, ...],
    weights: tuple[Path, ...],
    out: Path,
) -> None:
    run, config = door.section(Run, "run"), door.section(Evaluate, "evaluate")
    deterministic()
    found = read_group(reconstructions)
    if found.name != group:
        raise UserError(f"--group is {group}, but --reconstructions is the folder of {found.name}")
    kinds = inverted(found) if "feature_error" in config.metrics else []
    device = device_of(run)
    scorer = Scorer(
        datasets={data.name: data for data in map(Dataset.open, images)},
        judge=judge(config.metrics, [kind[1:] for kind in kinds], WeightStore(*weights), device),
        scales=read_scales(kinds, {folder.resolve().name: folder for folder in features}),
        metrics=config.metrics,
        micro_batch=run.micro_batch,
        device=device,
    )
    with tqdm(total=len(found.index), desc=f"evaluate {group}", unit="picture") as bar:
        rows = score(found, scorer, bar.update)
    write_csv(out, COLUMNS, rows)


if __name__ == "__main__":
    main()
