"""Write means, intervals and comparisons of all scored groups, the tables of the report."""

from pathlib import Path

import click

from relume.core.files import read_csv, write_csv
from relume.core.stage import StageContext, stage
from relume.evaluation.comparison import write_tables
from relume.evaluation.config import TIMED_PATHS, Compare, Evaluate
from relume.evaluation.evidence import gather, gather_paths, gather_sets
from relume.evaluation.metrics import REID_N, REID_PAIRS, is_reid

FOLDER = click.Path(path_type=Path)


@click.command(help=__doc__)
@click.option("--methods", type=FOLDER, required=True, help="Folder of the scored groups.")
@click.option("--reconstructions", type=FOLDER, required=True, help="Folder of the groups.")
@click.option("--images", type=FOLDER, required=True, help="Folder of the datasets.")
@click.option("--sets", type=FOLDER, required=True, help="Folder of the groups' set metrics (Frechet distance, KID).")
@click.option("--paths", type=FOLDER, help="Folder of the groups' metrics after some steps.")
@click.option("--samples", type=FOLDER, help="Table of the distances between generators' samples and real images.")
@click.option("--probe", type=FOLDER, help="Table of the linear probes of frozen features.")
@click.option("--models", type=FOLDER, help="Folder of the trained models, whose cards name the networks they were trained with.")
@click.option("--out", type=FOLDER, required=True, help="Folder of the tables.")
@stage("compare")
def main(
    context: StageContext,
    methods: Path,
    reconstructions: Path,
    images: Path,
    sets: Path,
    paths: Path | None,
    samples: Path | None,
    probe: Path | None,
    models: Path | None,
    out: Path,
) -> None:
    config, seed = context.section(Compare, "compare"), context.section(int, "run.seed")
    views = [metric for metric, _ in context.section(Evaluate, "evaluate").views]
    names = [view.name for view in views]
    cells = gather(
        config.groups,
        methods=methods,
        reconstructions=reconstructions,
        images=images,
        models=models,
        views=[*names, *([REID_N, REID_PAIRS] if any(map(is_reid, names)) else [])],
        recipes=context.plain("recipes"),
    )
    distances, probed = gather_sets(config.groups, sets, samples), read_csv(probe) if probe else []
    write_csv(out / "paths.csv", TIMED_PATHS, gather_paths(config.groups, paths, reconstructions) if paths else [])
    write_tables(out, cells, config, seed, sets=distances, probe=probed, views=views)


if __name__ == "__main__":
    main()
