"""Fill hidden parts of a dataset's images with trained models and with baselines: one group, one method each."""

from pathlib import Path
from typing import Annotated, Any

from relume.core.results import write_group
from relume.core.runtime import Run, describe, deterministic, device_of
from relume.core.stage import StageContext, stage
from relume.data.store import Dataset
from relume.evaluation.masked import fillers
from relume.methods.masked.config import ReconstructMasked
from relume.methods.masked.infer import Predictor, descents, predictors, reconstruct
from relume.methods.masked.model import read_masked

SECTION = "reconstruct_masked"


@stage(SECTION, item="group")
def main(
    context: StageContext,
    group: Annotated[str, "Name below `reconstruct_masked` in params.yaml."],
    images: Annotated[Path, "The dataset whose images are masked."],
    models: Annotated[Path, "Folder of the masked models."],
    out: Annotated[Path, "Folder of the group."],
) -> None:
    run, config = context.section(Run, "run"), context.section(ReconstructMasked, f"{SECTION}.{group}")
    deterministic()
    device, dataset = device_of(run), Dataset.open(images)
    floors = [Predictor(name=name, family="floor", predict=fill) for name, fill in fillers(dataset, config.split).items()]
    loaded = [read_masked(models / name, device) for name in config.models]
    trained = predictors(loaded, dataset, config)
    filled = reconstruct([*floors, *trained], dataset, config, run, device, out)
    steps = descents(trained, dataset, config, run, device)
    parameters = {model.name: model.card["parameters"] for model in loaded}
    method = context.method(config, describe(device), parameters=parameters)
    trace, descent = ((), None) if steps is None else (steps.trace, steps.shown)
    cells: dict[str, Any] = {"masks": filled.masks, "ratios": filled.ratios, "timing": filled.timing}
    write_group(out, images=filled.images, rows=filled.rows, method=method, trace=trace, descent=descent, **cells)


if __name__ == "__main__":
    main()
