"""Train a toy: the mean colour of the training images."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from safetensors.torch import save_file

from relume.core.config import build, merge
from relume.core.files import write_csv, write_json
from relume.core.stage import StageContext, stage
from relume.data.store import Dataset
from relume.methods.toy.family import Toy


@stage("train_toy", item="model")
def main(
    context: StageContext,
    model: Annotated[str, ""],
    images: Annotated[Path, ""],
    out: Annotated[Path, ""],
    timing: Annotated[Path, ""],
) -> None:
    key = f"train_toy.models.{model}"
    config, data = build(Toy, merge(context.plain("train_toy.shared"), context.plain(key)), key), Dataset.open(images)
    mean = data.images[data.select("train", None)].mean((0, 1, 2))
    colour = torch.tensor(config.weight * mean + (1 - config.weight) * 127.5)
    out.mkdir(parents=True)
    save_file({"colour": colour}, out / "model.safetensors")
    write_csv(out / "history.csv", ("step", "term", "value"), [{"step": 1, "term": "val/loss", "value": float(np.var(mean))}])
    about = {"config": asdict(config), "metrics": {"loss": float(np.var(mean))}, "sha256": "0" * 64, "parameters": 3}
    write_json(out / "model.json", {"kind": "toy", "name": model, **about, **context.provenance()})
    write_csv(timing, ("step", "seconds"), [{"step": 1, "seconds": 0.1}])


if __name__ == "__main__":
    main()
