"""Decoders on photographs: trained, scored beside baselines, and refined by optimisation, with intervals and paired comparisons.

    python -m benchmarks.decoders --study benchmarks/studies/NAME.yaml --folder PHOTOS --work FOLDER --out docs/results/NAME.csv

Splits are those of `benchmarks.inversion`: decoders are trained on `train`, and their best weights are selected on `val`. A
trained decoder stays in the work folder while its settings, the photographs and the code are the same; a killed training
resumes. `--only` makes only the named methods and no tables, so several processes can share the work in one folder. Writes a
leaderboard, `_comparisons.csv`, a `.json` beside each, and a sheet of images. The format of a study:
`benchmarks/decoder_study.py`.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from benchmarks import decoder_study, sheet
from benchmarks.common import commit, prepare, provenance
from benchmarks.decoder_runs import Decoded, decoded
from benchmarks.decoder_study import CASE, DecoderStudy, Plan
from benchmarks.inversion import DRAWS, FLOORS, SHOWN, block, cells_of, score_all, shown, split_of, write_floors
from benchmarks.runs import INVERTS, Bench, Done, Earlier, run_one
from benchmarks.shipped import describe, page
from benchmarks.trainings import alone
from relume.core.code import digest_of
from relume.core.config import build, read_params
from relume.core.errors import UserError, one_of
from relume.core.files import read_csv, write_csv, write_json
from relume.core.results import read_group
from relume.core.run import Run
from relume.core.runtime import deterministic, device_of
from relume.evaluation.comparison import COMPARISONS, LEADERBOARD, answers, leaderboard
from relume.evaluation.evidence import Cell
from relume.evaluation.metrics import metric
from relume.losses.config import LPIPS
from relume.methods.optimise.config import merge_recipe
from relume.networks.weights import WeightStore


@dataclass(frozen=True, kw_only=True)
class Made:
    """All finished methods."""

    decoders: dict[str, Decoded] = field(default_factory=dict)
    optimisers: dict[str, Done] = field(default_factory=dict)

    @property
    def folders(self) -> list[str]:
        return [*(one.folder for one in self.decoders.values()), *(one.job.folder for one in self.optimisers.values())]

    @property
    def kept_seconds(self) -> float:
        """The methods that come from earlier calls."""
        trainings = sum(one.card["seconds"] for one in self.decoders.values() if one.kept)
        return float(trainings + sum(one.seconds for one in self.optimisers.values() if one.kept))

    @property
    def record(self) -> dict[str, dict[str, Any]]:
        runs = {name: {"steps": one.steps, "seconds": round(one.seconds, 2)} for name, one in self.optimisers.items()}
        return {"decoders": {name: one.record for name, one in self.decoders.items()}, "runs": runs}


def make(bench: Bench, planned: Plan, count: int | None, only: Sequence[str], ship: Mapping[str, Path]) -> Made:
    """Decoders in the order of the file, then the optimisers; of `only` some, these and the decoders that they begin from."""
    jobs = [job for job in planned.jobs if not only or job.method in only]
    wanted = [name for name in planned.decoders if not only or name in only or name in {job.start for job in jobs}]
    made = Made()
    for name in wanted:
        made.decoders[name] = decoded(bench, name, planned.decoders[name], count, ship.get(name))
        reached = made.decoders[name].card["metrics"]
        click.echo(f"{name}: {reached['psnr']:.2f} dB in validation; own mean colours {reached['floor_own_mean']:.2f} dB")
    before: dict[str, Earlier] = {**made.decoders}
    for job in jobs:
        made.optimisers[job.method] = run_one(bench, job, before)
    return made


def check_weights(planned: Plan, metrics: Sequence[str], store: WeightStore) -> None:
    """Checks that everything that will be loaded is present before the first training."""
    taught = [config for config in planned.decoders.values() if config.losses.lpips > 0]
    heads = {
        *(f"lpips_{config.measures.lpips.network}" for config in taught),
        *(name for name in metrics if name.startswith("lpips_")),
    }
    through = {LPIPS[name.removeprefix("lpips_")] for name in heads} | {metric(name).network for name in metrics}
    for name in sorted({*heads, *through, *(config.network for config in planned.decoders.values())} - {""}):
        store.folder(name)


def blocks(
    bench: Bench, wanted: DecoderStudy, planned: Plan, cells: Mapping[str, Cell], rows: Sequence[int]
) -> list[sheet.Block]:
    """Decoders by network in the order of the file, then every refinement beside its parents."""
    networks = list(dict.fromkeys(config.network for config in planned.decoders.values()))
    found = []
    for network in networks:
        members = [cells[name] for name, config in planned.decoders.items() if config.network == network]
        found.append(block(bench, CASE, members, rows, f"decoders of {network}"))
    for parent in dict.fromkeys(own["decoder"] for own in wanted.refine.values()):
        others = [job.method for job in planned.jobs if job.start == parent or job.method == f"{parent}_{decoder_study.ALONE}"]
        found.append(block(bench, CASE, [cells[name] for name in (parent, *others)], rows, f"{parent}, optimised, refined"))
    return found


def report(
    bench: Bench, wanted: DecoderStudy, planned: Plan, made: Made, out: Path, about: Mapping[str, object], pictures: int
) -> None:
    """Writes the tables, their `.json`, and the sheet."""
    floors = cells_of(bench, FLOORS)
    cells = {cell["method"]: cell for folder in made.folders for cell in cells_of(bench, folder)}
    everything = [*floors, *cells.values()]
    write_csv(out, LEADERBOARD, leaderboard(everything, DRAWS))
    compared = [row for name, question in planned.questions for row in answers(everything, {name: question}, DRAWS)]
    comparisons = out.with_name(f"{out.stem}_comparisons.csv")
    write_csv(comparisons, COMPARISONS, compared)
    for table in (out, comparisons):
        write_json(table.with_suffix(".json"), {**about, **made.record})
    rows = shown(bench, wanted.count, pictures)
    sheet.save(out.with_suffix(".jpg"), blocks(bench, wanted, planned, cells, rows))


def bench_of(
    wanted: DecoderStudy, run: Run, folder: Path, more: Path | None, work: Path, split: str, store: WeightStore
) -> Bench:
    with alone(work):
        name = folder.resolve().name
        dataset = prepare(folder, work / "images" / name, wanted.pixels, None, split_of, more, wanted.balanced, wanted.detail)
    dataset.select(split, wanted.count)  # so many are there
    return Bench(root=work, run=run, dataset=dataset, split=split, store=store, device=device_of(run), code=digest_of(INVERTS))


def conduct(bench: Bench, wanted: DecoderStudy, planned: Plan, floors: Sequence[int], only: Sequence[str], ship: Path) -> Made:
    """Everything that takes long."""
    made = make(bench, planned, wanted.count, only, {name: ship / name for name in wanted.ship})
    if not only:
        write_floors(bench, wanted.count, floors)
        score_all(bench, [read_group(bench.group(folder)) for folder in (FLOORS, *made.folders)], wanted.metrics)
    return made


def data_text(bench: Bench, count: int | None, detail: float) -> tuple[int, str]:
    """The `data` text: scored pictures, the other splits, and what further pictures got."""
    learned, chosen = (len(bench.dataset.select(split)) for split in ("train", "val"))
    whole = f"of the split {bench.split} of {len(bench.dataset.index)}"
    told = f"{whole}; decoders learn from {learned} others, {chosen} for validation"
    more = f"; further pictures have {detail} of a photograph's fine detail" if detail else ""
    return len(bench.dataset.select(bench.split, count)), told + more


@click.command(help=__doc__)
@click.option("--study", "file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True)
@click.option("--folder", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True, help="The photographs.")
@click.option("--more", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Further pictures to learn from.")
@click.option(
    "--work", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of intermediate results; reused."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The table.")
@click.option("--only", multiple=True, metavar="NAME", help="Make only this method, and no tables; may be repeated.")
@click.option("--split", type=click.Choice(["test", "val"]), default="test", show_default=True, help="val: to tune on.")
@click.option("--weights", type=click.Path(path_type=Path), multiple=True, default=[Path("models/weights")], show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="Instead of params.yaml's.")
@click.option("--precision", type=click.Choice(["float32", "bfloat16"]), help="Of trainings, instead of params.yaml's.")
@click.option("--ship", type=click.Path(path_type=Path), default="models/pretrained", help="Folder of what the study ships.")
@click.option("--micro-batch", type=click.IntRange(min=1), help="Instead of params.yaml's.")
@click.option("--pictures", type=click.IntRange(min=1), default=4, show_default=True, help="On the sheet, per block.")
def main(
    file: Path,
    folder: Path,
    more: Path | None,
    work: Path,
    out: Path,
    only: tuple[str, ...],
    split: str,
    weights: tuple[Path, ...],
    device: str | None,
    precision: str | None,
    ship: Path,
    micro_batch: int | None,
    pictures: int,
) -> None:
    start, at = time.perf_counter(), commit()
    try:
        if split == "val" and SHOWN.resolve() in out.resolve().parents:
            raise UserError(f"--split val is for tuning: what it gives is no result for {SHOWN}")
        wanted, params = decoder_study.read(file), read_params(Path("params.yaml"))
        planned = decoder_study.plan(wanted, params, dataset=folder.resolve().name, split=split)
        for name in only:
            if name not in planned.methods:
                raise UserError(f"--only: no method {name!r} in {file}; {one_of(planned.methods, name)}")
        changes = {
            key: value for key, value in (("device", device), ("precision", precision), ("micro_batch", micro_batch)) if value
        }
        store = WeightStore(*weights)
        check_weights(planned, wanted.metrics, store)
        deterministic()
        bench = bench_of(wanted, build(Run, merge_recipe(params["run"], changes), "run"), folder, more, work, split, store)
        made = conduct(bench, wanted, planned, params["floors"]["blocks"], only, ship)
        if not only:
            n, data = data_text(bench, wanted.count, wanted.detail)
            seconds = time.perf_counter() - start + made.kept_seconds
            about = provenance("benchmarks.decoders", bench.dataset, n=n, data=data, device=bench.device, at=at, seconds=seconds)
            report(bench, wanted, planned, made, out, about, pictures)
            if wanted.ship:
                describe([ship / name for name in wanted.ship], read_csv(out), about)
                page(ship)
    except UserError as error:
        click.secho(f"decoders: {error}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
