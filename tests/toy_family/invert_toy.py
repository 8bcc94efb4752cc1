"""Invert by toys: a method per model."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
from safetensors.torch import load_file

from relume.core.results import Row, write_group
from relume.core.stage import StageContext, stage
from relume.data.store import Dataset
from relume.methods.toy.family import InvertToy


@stage("invert_toy", item="group")
def main(
    context: StageContext,
    group: Annotated[str, ""],
    images: Annotated[Path, ""],
    models: Annotated[Path, ""],
    out: Annotated[Path, ""],
) -> None:
    config, data = context.section(InvertToy, f"invert_toy.{group}"), Dataset.open(images)
    ids = data.ids(data.select(config.split, config.count))
    about = {"family": "toy", "task": "feature", "oracle": False, "dataset": data.name, "size": data.size}
    rows, shown = [], []
    for name in config.models:
        colour = load_file(models / name / "model.safetensors")["colour"].numpy()
        shown += [np.broadcast_to(colour.astype(np.uint8), (data.size, data.size, 3))] * len(ids)
        rows += [Row(method=name, id=id, network="identity", tap="pixels", **about) for id in ids]
    timing = [{"method": name, "step": 1, "seconds": 0.1} for name in config.models]
    method = {"config": asdict(config), "device": "cpu", **context.provenance()}
    write_group(out, images=np.stack(shown), rows=rows, method=method, timing=timing)


if __name__ == "__main__":
    main()
