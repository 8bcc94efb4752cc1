"""Compute the baselines for the images that methods are scored on."""

from pathlib import Path
from typing import Annotated

import torch

from relume.core.results import write_group
from relume.core.runtime import describe
from relume.core.stage import StageContext, stage
from relume.data.store import Dataset
from relume.evaluation.config import Floors
from relume.evaluation.floors import predict


@stage("floors")
def main(
    context: StageContext,
    images: Annotated[Path, "The dataset that `dataset` names."],
    out: Annotated[Path, "Folder of the group."],
) -> None:
    config = context.section(Floors, "floors")
    pictures, rows, timing = predict(Dataset.open(images), config, out)
    method = context.method(config, describe(torch.device("cpu")))
    write_group(out, images=pictures, rows=rows, method=method, timing=timing)


if __name__ == "__main__":
    main()
