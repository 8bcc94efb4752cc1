"""Write means, intervals and comparisons of all scored groups, the tables of the report."""

from pathlib import Path
from typing import Annotated

from relume.core.files import read_csv, write_csv
from relume.core.stage import StageContext, stage
from relume.evaluation.comparison import write_tables
from relume.evaluation.config import TIMED_PATHS, Compare, Evaluate
from relume.evaluation.evidence import gather, gather_paths, gather_sets
from relume.evaluation.metrics import REID_N, REID_PAIRS, is_reid


@stage("compare")
def main(
    context: StageContext,
    methods: Annotated[Path, "Folder of the scored groups."],
    reconstructions: Annotated[Path, "Folder of the groups."],
    images: Annotated[Path, "Folder of the datasets."],
    sets: Annotated[Path, "Folder of the groups' set metrics (Frechet distance, KID)."],
    out: Annotated[Path, "Folder of the tables."],
    paths: Annotated[Path | None, "Folder of the groups' metrics after some steps."] = None,
    samples: Annotated[Path | None, "Table of the distances between generators' samples and real images."] = None,
    probe: Annotated[Path | None, "Table of the linear probes of frozen features."] = None,
    models: Annotated[Path | None, "Folder of the trained models, whose cards name the networks they were trained with."] = None,
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
    )
    distances, probed = gather_sets(config.groups, sets, samples), read_csv(probe) if probe else []
    write_csv(out / "paths.csv", TIMED_PATHS, gather_paths(config.groups, paths, reconstructions) if paths else [])
    write_tables(out, cells, config, seed, sets=distances, probe=probed, views=views)


if __name__ == "__main__":
    main()
