"""The baselines on a tree of photographs at 224 px: the numbers that a result on them has to beat.

    python -m benchmarks.floors --folder PHOTOS --weights models/weights --out docs/results/floors_imagenet_photos.csv

Images in sorted order; short side to 256, centre crop of 224. No-information baselines are fitted on four fifths and predict the
last, five times, so that every image is scored and none is used for its own prediction. Writes a leaderboard and a `.json`.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
from tqdm import tqdm

from benchmarks.common import commit, prepare, provenance
from relume.core.config import build
from relume.core.files import write_csv, write_json
from relume.core.results import TIMING, read_group, write_group
from relume.core.run import Run
from relume.core.runtime import describe, device_of
from relume.data.store import Dataset
from relume.evaluation.comparison import LEADERBOARD, Draws, leaderboard
from relume.evaluation.config import Floors
from relume.evaluation.evidence import gather
from relume.evaluation.floors import predict
from relume.evaluation.metrics import METRICS
from relume.evaluation.perceptual import extractor
from relume.evaluation.scoring import COLUMNS, Scorer, score
from relume.networks.weights import WeightStore

FOLDS = 5
MEASURED = [name for name in METRICS if name != "feature_error"]  # baselines invert no features


def fold(dataset: Dataset, number: int) -> Dataset:
    """Every fifth picture, from `number` on, is the test; the others are for training."""
    index = [{**row, "split": "test" if at % FOLDS == number else "train"} for at, row in enumerate(dataset.index)]
    return replace(dataset, index=index)


def evaluate(dataset: Dataset, scorer: Scorer, blocks: Sequence[int], root: Path, name: str) -> Path:
    """All folds in one table, with what `gather` needs. The pictures of the baselines are not kept."""
    table: list[dict[str, object]] = []
    seconds: dict[str, float] = {}
    with tqdm(total=len(dataset.index) * (len(blocks) + 3), unit="picture") as bar:
        for number in range(FOLDS):
            part = fold(dataset, number)
            wanted = Floors(dataset=dataset.name, split="test", count=None, blocks=tuple(blocks))
            images, rows, timing = predict(part, wanted)
            for line in timing:
                seconds[str(line["method"])] = seconds.get(str(line["method"]), 0.0) + float(str(line["seconds"]))
            write_group(root / "fold", images=images, rows=rows, method={})
            table += score(read_group(root / "fold"), scorer, bar.update)
    write_csv(root / "methods" / f"{name}.csv", COLUMNS, table)
    group = root / "reconstructions" / name
    write_csv(group / "timing.csv", TIMING, [{"method": key, "step": 0, "seconds": s} for key, s in seconds.items()])
    return group


@click.command(help=__doc__)
@click.option("--folder", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--weights", type=click.Path(path_type=Path), default=Path("models/weights"), show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The table; a .json is written beside it.")
@click.option("--size", type=click.IntRange(min=32), default=224, show_default=True)
@click.option("--count", type=click.IntRange(min=10), help="Only the first pictures.")
@click.option("--blocks", type=int, multiple=True, default=(4, 7, 14, 28), show_default=True)
@click.option("--metrics", type=click.Choice(MEASURED), multiple=True, default=MEASURED, show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", show_default=True)
def main(
    folder: Path,
    weights: Path,
    out: Path,
    size: int,
    count: int | None,
    blocks: tuple[int, ...],
    metrics: tuple[str, ...],
    device: str,
) -> None:
    start, at = time.perf_counter(), commit()
    run = build(Run, {"seed": 0, "device": device, "precision": "float32", "threads": 1, "micro_batch": 8}, "run")
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        dataset = prepare(folder, root / "images" / folder.resolve().name, size, count)
        here = device_of(run)
        scorer = Scorer(
            datasets={dataset.name: dataset},
            extractor=extractor(metrics, [], WeightStore(weights), here),
            scales={},
            metrics=metrics,
            micro_batch=run.micro_batch,
            device=here,
        )
        group = evaluate(dataset, scorer, blocks, root, "floors")
        write_json(group / "method.json", {"device": describe(here)})
        cells = gather(["floors"], methods=root / "methods", reconstructions=group.parent, images=root / "images")
        write_csv(out, LEADERBOARD, leaderboard(cells, Draws(seed=run.seed, resamples=5000, level=0.95)))
    n, data, seconds = (
        len(dataset.index),
        f"no-information baselines, {FOLDS}-fold cross-validation",
        time.perf_counter() - start,
    )
    about = provenance("benchmarks.floors", dataset, n=n, data=data, device=here, at=at, seconds=seconds)
    write_json(out.with_suffix(".json"), about)


if __name__ == "__main__":
    main()
