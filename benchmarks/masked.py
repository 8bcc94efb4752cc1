"""Masked models compared: trained on the same images, scored beside baselines on the same masks, with intervals.

    python -m benchmarks.masked DATA --study benchmarks/studies/NAME.yaml --work FOLDER

DATA holds `train/` and `test/` (with class folders); validation images, which select the best weights, are drawn from `train/`.
A trained model stays in the work folder while its settings, the images and the training code are the same; a killed training
resumes. `--only` trains only the named models and makes no tables, so several processes can share the work in one folder.
`--time` trains nothing and prints parameters and seconds per step. Writes the columns of masked.csv, `_comparisons.csv`,
`_sets.csv` and `_probe.csv` where the study asks for them, a `.json` beside each, and a sheet of images. The format of a study:
`benchmarks/masked_study.py`.
"""

import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from benchmarks import masked_study
from benchmarks.common import commit
from benchmarks.masked_runs import Bench, Taught, bench_of, pace, taught_all
from benchmarks.masked_study import TOKENIZER, MaskedStudy, Plan, chosen
from benchmarks.masked_tables import (
    Judges,
    cells_of,
    draw,
    fill_all,
    networks,
    probe_all,
    report,
    score_all,
    sets_of,
    told_colours,
    trainings,
)
from benchmarks.trainings import alone
from relume.core.config import build, merge, read_params
from relume.core.errors import UserError
from relume.core.run import Run
from relume.core.runtime import describe, deterministic
from relume.networks.weights import WeightStore

PARAMS = Path("params.yaml")
RESULTS = Path("docs/results")


def show_times(bench: Bench, planned: Plan, names: Sequence[str], budget: float | None) -> None:
    """A line per model, tab-separated."""
    head = ["model", "parameters", "s/step", "s/validation", "steps planned", "s planned"]
    click.echo(f"on {describe(bench.device)}, {bench.run.precision}")
    click.echo("\t".join([*head, *([f"steps in {budget:g} s"] if budget else [])]))
    for name in names:
        found, steps = pace(bench, name, planned.models[name]), planned.models[name].training.steps
        line = [name, str(planned.parameters[name]), f"{found.step:.4f}", f"{found.validation:.2f}", str(steps)]
        line += [f"{steps * found.step:.0f}", *([str(found.steps_in(budget))] if budget else [])]
        click.echo("\t".join(line))


def train_all(bench: Bench, planned: Plan, names: Sequence[str]) -> dict[str, Taught]:
    done = taught_all(bench, planned, names)
    for name, one in done.items():
        reached, floor = one.card["metrics"]["psnr_masked"], one.card["metrics"]["floor_mean_visible"]
        hidden = f"where it is hidden, in validation; the mean of the visible {floor:.2f} dB"
        sees_all = planned.models[name].architecture.kind == TOKENIZER
        click.echo(f"{name}: {reached:.2f} dB {'in validation, with nothing hidden from it' if sees_all else hidden}")
    return done


def tell(bench: Bench, study: MaskedStudy, planned: Plan, command: Sequence[str], at: str) -> dict[str, object]:
    """The `.json` beside the tables, without seconds and trainings."""
    counts = {split: len(bench.dataset.select(split)) for split in ("train", "val")}
    n = len(bench.dataset.select("test", study.test))
    learned = f"{counts['train']} others to learn from, {counts['val']} for validation"
    masks = f"{study.pattern} masks of {study.cell} px cells, seed {bench.run.seed}"
    return {
        "command": shlex.join(["python", "-m", "benchmarks.masked", *command]),
        "commit": at,
        "data": f"{bench.dataset.name}: the first {n} test pictures in drawn order, {study.pixels} px; {learned}; {masks}",
        "n": n,
        "device": describe(bench.device),
    }


def tabulate(
    bench: Bench,
    study: MaskedStudy,
    planned: Plan,
    done: Mapping[str, Taught],
    *,
    by: Judges,
    about: Mapping[str, object],
    started: float,
    pictures: int,
    out: Path,
) -> None:
    """Locks the work folder, because all processes write into the same folders."""
    with alone(bench.root / "tables"):
        folders = fill_all(bench, study, planned, done)
        score_all(bench, folders, by)
        cells, sets = cells_of(bench, folders), sets_of(bench, folders, by)
    probe = probe_all(bench, planned.probe, done) if planned.probe else []
    kept = sum(one.card["seconds"] for one in done.values() if one.kept)
    seconds = {"seconds": round(time.perf_counter() - started + kept, 1), "models": trainings(bench, done)}
    knew = {"psnr_of_cells_in_their_own_mean_colour": told_colours(bench, study)}
    report(bench, planned, cells, sets=sets, probe=probe, about={**about, **knew, **seconds}, out=out)
    draw(bench, planned, cells, pictures, out.with_suffix(".jpg"))


@click.command(help=__doc__)
@click.argument("data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--study", "file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True)
@click.option(
    "--work", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of intermediate results; reused."
)
@click.option("--out", type=click.Path(path_type=Path), help="The table; docs/results/<study>.csv if not given.")
@click.option("--only", multiple=True, metavar="NAME", help="Train only this model, and make no tables; may be repeated.")
@click.option("--any-code", is_flag=True, help="Reuse models of other code; the tables name its commit.")
@click.option("--time", "timed", is_flag=True, help="Print parameters and seconds per step; train nothing.")
@click.option(
    "--budget", type=click.FloatRange(min=0, min_open=True), help="With --time: also the number of steps in these seconds."
)
@click.option("--weights", type=click.Path(path_type=Path), multiple=True, default=[Path("models/weights")], show_default=True)
@click.option("--pictures", type=click.IntRange(min=1), default=8, show_default=True, help="On the sheet.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="Instead of the study's.")
@click.option("--micro-batch", type=click.IntRange(min=1), help="Instead of the study's.")
def main(
    data: Path,
    file: Path,
    work: Path,
    out: Path | None,
    only: tuple[str, ...],
    any_code: bool,
    timed: bool,
    budget: float | None,
    weights: tuple[Path, ...],
    pictures: int,
    device: str | None,
    micro_batch: int | None,
) -> None:
    started, at = time.perf_counter(), commit()
    try:
        wanted, params = masked_study.read(file), read_params(PARAMS)
        planned = masked_study.plan(wanted, params, data.resolve().name)
        names = chosen(planned, only)
        changes = {key: value for key, value in (("device", device), ("micro_batch", micro_batch)) if value}
        run = build(Run, merge(merge(params["run"], wanted.run), changes), "study.run")
        deterministic()
        bench = bench_of(wanted, run, data, work, any_code=any_code)
        if timed:
            show_times(bench, planned, names, budget)
            return
        if only:
            train_all(bench, planned, names)
            return
        out = out or RESULTS / f"{file.stem}.csv"
        by = networks(bench, wanted, WeightStore(*weights))
        done = train_all(bench, planned, names)
        command = [data.resolve().name, "--study", str(file), "--work", work.resolve().name]
        about = tell(bench, wanted, planned, command, at)
        tabulate(bench, wanted, planned, done, by=by, about=about, started=started, pictures=pictures, out=out)
    except UserError as error:
        click.secho(f"masked: {error}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
