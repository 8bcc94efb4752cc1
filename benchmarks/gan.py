"""Generators compared: trained on the same images for the same seconds, their samples scored beside baselines.

    python -m benchmarks.gan DATA --study benchmarks/studies/NAME.yaml --work FOLDER

DATA holds `train/` and `test/` (with class folders); validation images, used for monitoring only, are drawn from `train/`. The
number of steps that fit into the seconds (on a processor, of its own time) is measured first, the models taking turns, and kept
in the work folder, as is every trained model; a killed training resumes. `--budget` replaces the study's seconds. Writes the
columns of sets.csv, a `.json` beside it and a sheet of samples: docs/results/<study>.csv, .json, .jpg.
"""

import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.common import commit
from benchmarks.gan_runs import Bench, GanStudy, bench_of, configs, planned, taught
from relume.core.config import build, merge, read_params
from relume.core.errors import UserError
from relume.core.files import write_csv, write_json
from relume.core.run import Run
from relume.core.runtime import describe, deterministic
from relume.core.samples import read_samples
from relume.core.sheet import save_sheet
from relume.evaluation.config import ScoreSamples
from relume.evaluation.metrics import SETS
from relume.evaluation.sample_sets import read_scored, sample_rows
from relume.evaluation.sets import MetricNetwork, open_metric_network
from relume.networks.weights import WeightStore

PARAMS = Path("params.yaml")
RESULTS = Path("docs/results")
SHOWN = (3, 8)  # rows and columns of samples on the sheet


def score(bench: Bench, study: GanStudy, metric_network: MetricNetwork) -> list[dict[str, object]]:
    """Rows of sets.csv: models, floors, halves of the true pictures."""
    asked = ScoreSamples(models=tuple(study.models), split="test", withheld=0, count=study.count, patches=study.patches)
    found = read_scored(bench.root / "samples", asked)
    rows = sample_rows(found, {bench.dataset.name: bench.dataset}, metric_network, asked, bench.run.seed)
    return [{key: row[key] for key in SETS if key in row} for row in rows]


def draw(bench: Bench, study: GanStudy, scored: Sequence[Mapping[str, object]], out: Path) -> None:
    """The first samples of every model, above the first true pictures of the test."""
    rows, columns = SHOWN
    kids = {row["name"]: row["kid"] for row in scored}

    def block(title: str, pictures: np.ndarray) -> tuple[str, np.ndarray]:
        return title, pictures[: rows * columns].reshape(rows, columns, *pictures.shape[1:])

    made = {name: np.asarray(read_samples(bench.root / "samples" / name).images) for name in study.models}
    blocks = [block(f"{name}: KID {kids[name]:.3f}", pictures) for name, pictures in made.items()]
    real = bench.dataset.images[bench.dataset.select("test", rows * columns)]
    save_sheet(out, [""] * columns, [*blocks, block("true pictures", real)])


def tell(bench: Bench, study: GanStudy, cards: Mapping[str, Mapping[str, Any]], command: Sequence[str]) -> dict[str, object]:
    """The `.json` beside the table."""
    counts = {split: len(bench.dataset.select(split)) for split in ("train", "val", "test")}
    said = "{test} test pictures, {train} for training, {val} for validation".format(**counts)
    said += f"; {study.count} samples of every model, and of every baseline"
    keys = ("parameters", "best_step", "seconds_per_step", "seconds", "device", "precision", "commit")
    trainings = {
        name: {**{key: card[key] for key in keys}, **{key: card["config"]["training"][key] for key in ("steps", "batch")}}
        for name, card in cards.items()
    }
    return {
        "command": shlex.join(["python", "-m", "benchmarks.gan", *command]),
        "commit": bench.commit,
        "data": f"{bench.dataset.name}, {bench.dataset.size} px: {said}",
        "n": study.count,
        "device": describe(bench.device),
        "sets": asdict(study.sets),
        "models": trainings,
    }


@click.command(help=__doc__)
@click.argument("data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--study", "file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True)
@click.option(
    "--work", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of intermediate results; reused."
)
@click.option(
    "--budget", type=click.FloatRange(min=0, min_open=True), help="Seconds of training per model, instead of the study's."
)
@click.option("--out", type=click.Path(path_type=Path), help="The table; docs/results/<study>.csv if not given.")
@click.option("--weights", type=click.Path(path_type=Path), multiple=True, default=[Path("models/weights")], show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="Instead of the study's.")
def main(
    data: Path, file: Path, work: Path, budget: float | None, out: Path | None, weights: tuple[Path, ...], device: str | None
) -> None:
    started = time.perf_counter()
    try:
        study = build(GanStudy, merge(read_params(file), {"seconds": budget} if budget else {}), "study")
        params, store = read_params(PARAMS), WeightStore(*weights)
        wanted = configs(study, params, data.resolve().name)
        run = build(Run, merge(merge(params["run"], study.run), {"device": device} if device else {}), "study.run")
        deterministic()
        bench = bench_of(study, run, data, work, commit())
        metric_network = open_metric_network(study.sets, [study.pixels], store, device=bench.device, micro_batch=run.micro_batch)
        assert metric_network is not None
        cards = {name: taught(bench, name, one, store) for name, one in planned(bench, study, wanted, store).items()}
        scored = score(bench, study, metric_network)
        command = [bench.dataset.name, "--study", str(file), "--work", work.resolve().name]
        command += ["--budget", f"{budget:g}"] if budget else []
        out = out or RESULTS / f"{file.stem}.csv"
        write_csv(out, SETS, scored)
        spent = {"seconds": round(time.perf_counter() - started, 1)}
        write_json(out.with_suffix(".json"), tell(bench, study, cards, command) | spent)
        draw(bench, study, scored, out.with_suffix(".jpg"))
    except UserError as error:
        click.secho(f"gan: {error}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
