"""A study of inversion methods on the same photographs, with intervals and paired comparisons.

    python -m benchmarks.inversion --study benchmarks/studies/NAME.yaml --folder PHOTOS --work FOLDER --out docs/results/NAME.csv

Images in sorted order: every tenth for testing, every fifth from the third on for tuning (`--split val`), the others for training
(feature statistics, linear maps). An inversion stays in the work folder and is not run again while its settings, the photographs
and the code are the same. Writes a leaderboard, `_comparisons.csv`, a `.json` beside each, and a sheet of images. The format of a
study: `benchmarks/study.py`.
"""

import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import click
import numpy as np
from tqdm import tqdm

from benchmarks import sheet, study
from benchmarks.common import commit, prepare, provenance
from benchmarks.runs import INVERTS, Bench, Done, run_all
from benchmarks.study import EQUAL, Study
from relume.core.code import digest_of
from relume.core.config import build, read_params
from relume.core.errors import UserError
from relume.core.files import digest, write_csv, write_json
from relume.core.results import Group, read_group, write_group
from relume.core.run import Run
from relume.core.runtime import describe, deterministic, device_of
from relume.evaluation.comparison import COMPARISONS, LEADERBOARD, Draws, Record, against_floors, answers, leaderboard
from relume.evaluation.config import Floors, Question
from relume.evaluation.evidence import Cell, gather
from relume.evaluation.floors import predict
from relume.evaluation.perceptual import extractor
from relume.evaluation.scoring import COLUMNS, Scorer, inverted, read_scales, score
from relume.methods.optimise.config import merge_recipe
from relume.networks import network as networks
from relume.networks.extract import ForwardPass, Pictures, extract
from relume.networks.store import STATS
from relume.networks.weights import WeightStore

EVERY, VAL = 10, (2, 7)  # the first of every ten pictures is for the test, the third and eighth for tuning
DRAWS = Draws(seed=0, resamples=5000, level=0.95)
FLOORS = "floors"  # the group's folder
SHOWN = Path("docs/results")
SEEN = 12_000  # training pictures, at most, that statistics are taken over


def split_of(at: int) -> str:
    return "test" if at % EVERY == 0 else "val" if at % EVERY in VAL else "train"


def write_floors(bench: Bench, count: int | None, blocks: Sequence[int]) -> None:
    wanted = Floors(dataset=bench.dataset.name, split=bench.split, count=count, blocks=tuple(blocks))
    images, rows, timing = predict(bench.dataset, wanted)
    method = {"device": describe(bench.device)}
    write_group(bench.group(FLOORS), images=images, rows=rows, timing=timing, method=method)


def statistics(bench: Bench, name: str, root: Path) -> None:
    """Statistics of the features of at most SEEN training pictures. Reused while these are the same."""
    if (root / name / STATS).exists():
        return
    train, dataset = bench.dataset.select("train")[:SEEN], bench.dataset
    pictures = Pictures(dataset=dataset.name, images=dataset.images, sample=train, split="train")
    network = networks.load(name, bench.store, bench.device)
    extract(
        ForwardPass(network=network, device=bench.device, micro_batch=bench.run.micro_batch), pictures, root / name, budget_mb=0
    )


def score_all(bench: Bench, groups: Sequence[Group], metrics: Sequence[str]) -> None:
    """Writes a table per group below `methods`."""
    dataset = bench.dataset
    features = bench.root / "features" / digest([bench.common["photographs"], dataset.size])
    kinds = list(dict.fromkeys(kind for group in groups for kind in inverted(group))) if "feature_error" in metrics else []
    for name in dict.fromkeys(network for _, network, _ in kinds):
        statistics(bench, name, features)
    scorer = Scorer(
        datasets={dataset.name: dataset},
        extractor=extractor(metrics, [kind[1:] for kind in kinds], bench.store, bench.device),
        scales=read_scales(kinds, {dataset.name: features}),
        metrics=metrics,
        micro_batch=bench.run.micro_batch,
        device=bench.device,
    )
    with tqdm(total=sum(len(group.index) for group in groups), desc="scores", unit="picture") as bar:
        for group in groups:
            write_csv(bench.root / "methods" / f"{group.name}.csv", COLUMNS, score(group, scorer, bar.update))


def cells_of(bench: Bench, folder: str) -> list[Cell]:
    """Rows of one scored group. It is read alone because several cases have methods of the same name."""
    with tempfile.TemporaryDirectory() as temporary:
        methods, reconstructions = Path(temporary, "methods"), Path(temporary, "reconstructions")
        for room, entry in ((methods, f"methods/{folder}.csv"), (reconstructions, f"reconstructions/{folder}")):
            room.mkdir()
            (room / Path(entry).name).symlink_to((bench.root / entry).resolve())
        return gather([folder], methods=methods, reconstructions=reconstructions, images=bench.root / "images")


def compare(cells: Sequence[Cell], floors: Sequence[Cell], wanted: Study) -> Iterator[Record]:
    """One case: every method against the floors, and the study's comparisons whose methods have run."""
    everything = [*cells, *floors]
    yield from against_floors(everything, wanted.metrics, DRAWS)
    there = {cell["method"] for cell in everything}
    asked = {name: Question(a=one.a, b=one.b, metrics=one.metrics or wanted.metrics) for name, one in wanted.questions.items()}
    if wanted.seconds:
        slow, fast = wanted.seconds.equal
        fitted = f"{slow}_{EQUAL}"
        asked[EQUAL] = Question(a=fitted if fitted in there else slow, b=fast, metrics=wanted.metrics)
    yield from answers(everything, {name: one for name, one in asked.items() if {one.a, one.b} <= there}, DRAWS)


def block(bench: Bench, case: str, cells: Sequence[Cell], rows: Sequence[int], title: str | None = None) -> sheet.Block:
    """The originals and the reconstructions of every method of the case."""
    ids = bench.dataset.ids(list(rows))
    columns: dict[str, tuple[str, np.ndarray]] = {"original": ("", bench.dataset.images[list(rows)])}
    for cell in cells:
        group = read_group(bench.group(f"{case}_{cell['method']}"))
        places = {row["id"]: place for place, row in enumerate(group.index) if row["selected"] == "true"}
        note = f"{cell.mean('psnr'):.1f} dB" if cell.applies("psnr") else ""
        columns[cell["method"]] = (note, group.images[[places[id] for id in ids]])
    own = f"{case}: {cells[0]['network']} {cells[0]['tap']}"
    return sheet.Block(title=f"{title or own}, {bench.dataset.size} px", columns=columns)


def shown(bench: Bench, count: int | None, pictures: int) -> list[int]:
    """A few of the scored photographs, evenly spread."""
    rows = bench.dataset.select(bench.split, count)
    return [rows[place] for place in np.linspace(0, len(rows) - 1, min(pictures, len(rows))).round().astype(int)]


def costs(done: Iterable[Done]) -> dict[str, dict[str, dict[str, float]]]:
    """case -> method -> seconds and steps."""
    runs: dict[str, dict[str, dict[str, float]]] = {}
    for one in done:
        runs.setdefault(one.job.case, {})[one.job.method] = {"steps": one.steps, "seconds": round(one.seconds, 2)}
    return runs


def conduct(bench: Bench, wanted: Study, planned: Sequence[study.Job], blocks: Sequence[int]) -> list[Done]:
    """Inversions and scores."""
    done = list(run_all(bench, wanted, planned))
    if wanted.floors:
        write_floors(bench, wanted.count, blocks)
    folders = [*([FLOORS] if wanted.floors else []), *(one.job.folder for one in done)]
    score_all(bench, [read_group(bench.group(folder)) for folder in folders], wanted.metrics)
    return done


def report(bench: Bench, wanted: Study, done: Sequence[Done], out: Path, about: Mapping[str, object], pictures: int) -> None:
    """Writes the tables, their `.json`, and the sheet."""
    floors = cells_of(bench, FLOORS) if wanted.floors else []
    cases: dict[str, list[Cell]] = {case: [] for case in wanted.cases}
    for one in done:
        cases[one.job.case] += cells_of(bench, one.job.folder)
    cases = {case: cells for case, cells in cases.items() if cells}
    ranked = [cell for cells in cases.values() for cell in sorted(cells, key=lambda cell: -cell.mean("psnr"))]
    write_csv(out, LEADERBOARD, leaderboard([*floors, *ranked], DRAWS))
    comparisons = out.with_name(f"{out.stem}_comparisons.csv")
    write_csv(comparisons, COMPARISONS, [row for cells in cases.values() for row in compare(cells, floors, wanted)])
    for table in (out, comparisons):
        write_json(table.with_suffix(".json"), {**about, "runs": costs(done)})
    rows = shown(bench, wanted.count, pictures)
    sheet.save(out.with_suffix(".jpg"), [block(bench, case, cells, rows) for case, cells in cases.items()])


@click.command(help=__doc__)
@click.option("--study", "file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True)
@click.option("--folder", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True, help="The photographs.")
@click.option(
    "--work", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of intermediate results; reused."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The table.")
@click.option("--split", type=click.Choice(["test", "val"]), default="test", show_default=True, help="val: to tune on.")
@click.option("--weights", type=click.Path(path_type=Path), multiple=True, default=[Path("models/weights")], show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="Instead of params.yaml's.")
@click.option("--micro-batch", type=click.IntRange(min=1), help="Instead of params.yaml's.")
@click.option("--pictures", type=click.IntRange(min=1), default=4, show_default=True, help="On the sheet, per case.")
def main(
    file: Path,
    folder: Path,
    work: Path,
    out: Path,
    split: str,
    weights: tuple[Path, ...],
    device: str | None,
    micro_batch: int | None,
    pictures: int,
) -> None:
    start, at = time.perf_counter(), commit()
    try:
        if split == "val" and SHOWN.resolve() in out.resolve().parents:
            raise UserError(f"--split val is for tuning: what it gives is no result for {SHOWN}")
        wanted, params = study.read(file), read_params(Path("params.yaml"))
        changes = {key: value for key, value in (("device", device), ("micro_batch", micro_batch)) if value}
        run = build(Run, merge_recipe(params["run"], changes), "run")
        planned = study.jobs(wanted, params, dataset=folder.resolve().name, split=split)
        deterministic()
        bench = Bench(
            root=work,
            run=run,
            dataset=prepare(folder, work / "images" / folder.resolve().name, wanted.pixels, None, split_of),
            split=split,
            store=WeightStore(*weights),
            device=device_of(run),
            code=digest_of(INVERTS),
        )
        done = conduct(bench, wanted, planned, params["floors"]["blocks"])
        n = len(bench.dataset.select(split, wanted.count))
        seconds = time.perf_counter() - start + sum(one.seconds for one in done if one.kept)
        learned = len(bench.dataset.select("train"))
        data = f"of the split {split} of {len(bench.dataset.index)}; methods learn from {learned} others"
        about = provenance("benchmarks.inversion", bench.dataset, n=n, data=data, device=bench.device, at=at, seconds=seconds)
        report(bench, wanted, done, out, about, pictures)
    except UserError as error:
        click.secho(f"inversion: {error}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
