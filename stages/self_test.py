"""Check that metrics order known degradations, and that images are best against themselves."""

from pathlib import Path
from typing import Annotated

import numpy as np

from relume.core.errors import UserError
from relume.core.files import write_csv
from relume.core.run import Run
from relume.core.runtime import deterministic, device_of
from relume.core.stage import StageContext, stage
from relume.data.store import Dataset
from relume.evaluation.config import Evaluate, Floors, SelfTest
from relume.evaluation.metrics import METRICS
from relume.evaluation.perceptual import extractor
from relume.evaluation.scoring import Scorer, read_scales, score, with_views
from relume.evaluation.self_test import COLUMNS, as_group, check_order, spoilt
from relume.networks.weights import WeightStore


@stage("self_test")
def main(
    context: StageContext,
    images: Annotated[Path, "The dataset that `dataset` names."],
    features: Annotated[Path, "Folder of its features."],
    out: Annotated[Path, "The table to write."],
    weights: Annotated[tuple[Path, ...], "Folders of networks; repeat."] = (),
) -> None:
    run, evaluate = context.section(Run, "run"), context.section(Evaluate, "evaluate")
    config, floors = context.section(SelfTest, "self_test"), context.section(Floors, "floors")
    deterministic()
    data, device = Dataset.open(images), device_of(run)
    rows = data.select(floors.split, floors.count)[: config.count]
    rungs = list(spoilt(data, rows, config, run.seed))
    group = as_group(data, rows, rungs)
    names = [name for name in evaluate.metrics if name != "feature_error"]  # it needs an inverted tap
    scorer = Scorer(
        datasets={data.name: data},
        extractor=extractor(names, [], WeightStore(*weights), device, views=[place for _, place in evaluate.views]),
        scales=read_scales([(data.name, *place) for place in evaluate.other_taps], {data.name: features}),
        metrics=names,
        micro_batch=run.micro_batch,
        device=device,
    )
    scored = score(group, with_views(scorer, group, evaluate, {data.name: features}))
    metrics = [*(METRICS[name] for name in names), *(metric for metric, _ in evaluate.views)]
    table = {
        key: np.array([row.get(key, np.nan) for row in scored]).reshape(len(rungs), -1) for key in [one.name for one in metrics]
    }
    scores = {
        (name, strength): {key: values[at] for key, values in table.items()} for at, (name, strength, _) in enumerate(rungs)
    }
    verdict = check_order(scores, metrics, [data.index[row]["source"] for row in rows], config.exceptions, seed=run.seed)
    write_csv(out, COLUMNS, verdict.rows)
    if verdict.faults:
        raise UserError("\n".join([*verdict.faults, f"{out} has the values; self_test.exceptions lists allowed failures"]))


if __name__ == "__main__":
    main()
