"""Masked models side by side: trained on the same pictures, scored beside floors on the same masks, compared with intervals.

    python -m benchmarks.masked DATA --study benchmarks/studies/NAME.yaml --work FOLDER

DATA holds `train/` and `test/` (class folders below); validation pictures, by which the best weights are chosen, are drawn from
`train/`. A trained model stays in the work folder as long as its settings, the pictures and the code that trains are the same; a
killed training goes on. `--only` trains just the named models, and makes no tables: several processes can so share the work in
one folder. `--time` trains nothing: it tells parameters and seconds per step. What a study says: `benchmarks/masked_study.py`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks import masked_study
from benchmarks.masked_runs import Bench, bench_of, pace, taught_all
from benchmarks.masked_study import Plan, chosen
from relume.core.config import build, merge, read_params
from relume.core.errors import UserError
from relume.core.run import Run
from relume.core.runtime import describe, deterministic

PARAMS = Path("params.yaml")


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


def train_all(bench: Bench, planned: Plan, names: Sequence[str]) -> None:
    for name, one in taught_all(bench, planned, names).items():
        reached, floor = one.card["metrics"]["psnr_masked"], one.card["metrics"]["floor_mean_visible"]
        click.echo(f"{name}: {reached:.2f} dB where it is hidden, in validation; the mean of the visible {floor:.2f} dB")


@click.command(help=__doc__)
@click.argument("data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--study", "file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True)
@click.option("--work", type=click.Path(path_type=Path, file_okay=False), required=True, help="Where all that is made is kept.")
@click.option("--only", multiple=True, metavar="NAME", help="Train this model, and make no tables; repeat.")
@click.option("--any-code", is_flag=True, help="Take up models that other code has trained; the tables tell its commit.")
@click.option("--time", "timed", is_flag=True, help="Tell parameters and seconds per step, and train nothing.")
@click.option("--budget", type=click.FloatRange(min=0, min_open=True), help="With --time: also the steps in so many seconds.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="Instead of the study's.")
@click.option("--micro-batch", type=click.IntRange(min=1), help="Instead of the study's.")
def main(
    data: Path,
    file: Path,
    work: Path,
    only: tuple[str, ...],
    any_code: bool,
    timed: bool,
    budget: float | None,
    device: str | None,
    micro_batch: int | None,
) -> None:
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
        train_all(bench, planned, names)
    except UserError as error:
        click.secho(f"masked: {error}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
