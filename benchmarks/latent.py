"""How well latents are found: known latents from noise, and how many steps a mapper's start saves.

    python -m benchmarks.latent --images FOLDER --generator FOLDER --study benchmarks/studies/NAME.yaml --work FOLDER

`known_latent`: images of random z are inverted by their pixels, from random latents; the restart is selected by that error.
`mapper_start`: features of held-out images are inverted from random latents, from the mean and, in a third of the steps, from
the mapper's latent, each at the rate that is best on validation images: which loss is lower, and after how many steps does the
mapper's mean reach the other's end? `one_pass`: the mapper's images beside baselines. The mapper is trained on the training
images and kept in the work folder; images and generator come from `benchmarks.gan` or the pipeline. Writes the columns of
comparisons.csv, a `.json` and a sheet: docs/results/<study>.csv, .json, .jpg.
"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from scipy.special import betaincinv
from torch import Tensor

from benchmarks.common import command, commit
from benchmarks.latent_runs import (
    Bench,
    Descents,
    LatentStudy,
    Start,
    best_rate,
    descents,
    known,
    mapper_config,
    mapper_record,
    taught,
)
from relume.core.config import build, merge, read_params
from relume.core.errors import UserError
from relume.core.files import read_json, write_csv, write_json
from relume.core.images import resize, to_uint8
from relume.core.run import Run
from relume.core.runtime import describe, deterministic, device_of
from relume.core.sheet import save_sheet
from relume.data.store import Dataset
from relume.evaluation.comparison import COMPARISONS
from relume.evaluation.config import Floors
from relume.evaluation.floors import floors
from relume.evaluation.statistics import Interval, expanded_tail, interval, resample
from relume.losses.image import psnr
from relume.methods.gan.model import read_gan
from relume.methods.latent.model import TrainedMapper
from relume.networks.network import load
from relume.networks.taps import collect
from relume.networks.weights import WeightStore
from relume.training.models import CARD

FOUND, WANTED = 30.0, 0.9  # dB from which a latent counts as found; the share that is aimed at
THIRD = 3  # factor by which a mapper's start should be faster
LEVEL, RESAMPLES = 0.95, 2000
SHOWN = 8  # pictures on the sheet
STARTS: tuple[Start, ...] = ("random", "mean", "given")
RESULTS, PARAMS = Path("docs/results"), Path("params.yaml")
Record = dict[str, object]


def known_rows(bench: Bench, space: str, found: np.ndarray) -> Iterator[Record]:
    """The share of latents that are found, with Clopper-Pearson interval, and the mean PSNR."""
    n, hits = len(found), int((found >= FOUND).sum())
    low, high = share(hits, n)
    about = {"question": "known_latent", "a": space, "b": "wanted", "dataset": bench.trained.name, "n": n, "sources": n}
    about |= {"size": bench.trained.generator.size}
    bounds = {"mean_a": hits / n, "mean_b": WANTED, "diff": hits / n - WANTED, "lo": low - WANTED, "hi": high - WANTED}
    yield {**about, "metric": f"share_{FOUND:g}_db", **bounds}
    mean = interval(found, [str(number) for number in range(n)], seed=0)
    moved = {"diff": mean.mean - FOUND, "lo": mean.lo - FOUND, "hi": mean.hi - FOUND}
    yield {**about, "metric": "psnr", "mean_a": mean.mean, "mean_b": FOUND, **moved}


def share(found: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """The Clopper-Pearson interval of a share."""
    tail = (1 - level) / 2
    low = float(betaincinv(found, n - found + 1, tail)) if found else 0.0
    high = float(betaincinv(found + 1, n - found, 1 - tail)) if found < n else 1.0
    return low, high


def steps_to(curve: np.ndarray, goal: np.ndarray, sources: Sequence[str]) -> Interval:
    """Steps until the mean of `curve` (steps + 1, N) is at most the mean goal (N,), over pictures; one more than there were where
    it never is. Its interval over the same draws of sources for both."""
    names, which = np.unique(np.asarray(sources), return_inverse=True)
    drawn = np.stack([resample(row, which, seed=0, resamples=RESAMPLES) for row in [*curve, goal]])
    tail = expanded_tail(len(names), LEVEL)
    lo, hi = np.quantile(_first(drawn[:-1], drawn[-1]), [tail, 1 - tail])
    (found,) = _first(curve.mean(1, keepdims=True), goal.mean(keepdims=True))
    return Interval(mean=float(found), lo=float(lo), hi=float(hi), n=len(goal), sources=len(names))


def _first(curves: np.ndarray, goals: np.ndarray) -> np.ndarray:
    """(steps + 1, R), (R,) -> the first row at most the goal, (R,)."""
    reached = curves <= goals
    return np.where(reached.any(0), reached.argmax(0), len(curves))


def start_rows(found: Mapping[Any, Descents], sources: Sequence[str], about: Record) -> Iterator[Record]:
    """The mapper's start after a third of the steps against the other starts after all, and the step at which it is level."""
    mapped = found["given"].curve
    for other in STARTS[:-1]:
        end = found[other].curve[-1]
        taken, allowed = steps_to(mapped, end, sources), (len(found[other].curve) - 1) / THIRD
        moved = {"diff": taken.mean - allowed, "lo": taken.lo - allowed, "hi": taken.hi - allowed}
        shared = {**about, "question": "mapper_start", "a": "mapper", "n": taken.n, "sources": taken.sources}
        yield {**shared, "b": f"third_of_{other}", "metric": "steps", "mean_a": taken.mean, "mean_b": allowed, **moved}
        for metric, a, b in (("loss", mapped[-1], end), ("loss_before", mapped[0], found[other].curve[0])):
            yield {**shared, "b": other, "metric": metric, **_paired(a, b, sources)}


def _paired(a: np.ndarray, b: np.ndarray, sources: Sequence[str]) -> Record:
    found = interval(a.astype(np.float64) - b, sources, seed=0, resamples=RESAMPLES, level=LEVEL)
    means = {"mean_a": float(a.mean()), "mean_b": float(b.mean()), "diff": found.mean, "lo": found.lo, "hi": found.hi}
    return {"n": found.n, "sources": found.sources, **means}


@torch.no_grad()
def one_pass(bench: Bench, mapper: TrainedMapper, rows: Sequence[int]) -> Tensor:
    """(N, 3, size, size): the mapper's pictures, from the features."""
    images, made = bench.dataset.pixels(list(rows)).to(bench.device), bench.trained.generator
    with collect(load(mapper.network, bench.store, bench.device), mapper.taps) as tapped:
        latents = mapper.latents(tapped(images))
    painted = made(latents) if mapper.space == "z" else made.synthesise(latents)
    return resize(painted, bench.dataset.size).cpu()


def pass_rows(bench: Bench, painted: Tensor, rows: Sequence[int], sources: Sequence[str], about: Record) -> Iterator[Record]:
    """PSNR beside the mean latent's picture and the means of colours, of the training pictures and of each picture itself."""
    true, made = bench.dataset.pixels(list(rows)), bench.trained.generator
    blind = floors(bench.dataset, Floors(dataset=bench.dataset.name, split="test", count=None, blocks=()))
    with torch.no_grad():
        mean = resize(made.synthesise(made.running_mean[None]), bench.dataset.size).cpu()
    others = {"floor_mean_latent": mean.expand_as(true), **{one.name: one.predict(true) for one in blind}}
    reached = psnr(painted, true).double().numpy()
    for name, pictures in others.items():
        own = {**about, "question": "one_pass", "a": "mapper", "b": name, "metric": "psnr"}
        yield {**own, **_paired(reached, psnr(pictures, true).double().numpy(), sources)}


def draw(out: Path, bench: Bench, rows: Sequence[int], made: Mapping[str, Tensor]) -> None:
    """The first pictures above their reconstructions."""
    true = bench.dataset.pixels(list(rows[:SHOWN]))
    blocks = [(title, to_uint8(images[:SHOWN])[None]) for title, images in {"true pictures": true, **made}.items()]
    save_sheet(out, [""] * len(true), blocks)


FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command(help=__doc__)
@click.option("--images", type=FOLDER, required=True, help="A prepared dataset.")
@click.option("--generator", type=FOLDER, required=True, help="The folder of a trained one.")
@click.option("--study", "file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True)
@click.option(
    "--work", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the trained mapper; reused."
)
@click.option("--out", type=click.Path(path_type=Path), help="The table; docs/results/<study>.csv if not given.")
@click.option("--weights", type=click.Path(path_type=Path), multiple=True, default=[Path("models/weights")], show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="Instead of the study's.")
def main(file: Path, out: Path | None, **given: Any) -> None:
    try:
        study = build(LatentStudy, read_params(file), "study")
        compute(study, out or RESULTS / f"{file.stem}.csv", **given)
    except UserError as error:
        click.secho(f"latent: {error}", fg="red", err=True)
        sys.exit(1)


def compute(
    study: LatentStudy, out: Path, *, images: Path, generator: Path, work: Path, weights: tuple[Path, ...], device: str | None
) -> None:
    """Writes tables, `.json` and sheet."""
    began, at, params = time.perf_counter(), commit(), read_params(PARAMS)
    run = build(Run, merge(merge(params["run"], study.run), {"device": device} if device else {}), "study.run")
    deterministic()
    where, dataset = device_of(run), Dataset.open(images)
    made, about = read_gan(generator, where), read_json(generator / CARD)
    painter = {key: about[key] for key in ("sha256", "config", "data")}
    usual = {**params["invert_optimise"], "dataset": dataset.name, "split": "test", "count": None}
    bench = Bench(run=run, device=where, store=WeightStore(*weights), dataset=dataset, trained=made, usual=usual)
    config = mapper_config(study, params, dataset.name, made.name)
    rows = [row for space in study.known.spaces for row in known_rows(bench, space, known(bench, space, study.known))]
    mapper = taught(bench, config, work, painter["sha256"])
    more, rates, pictures = measure(bench, mapper, study)
    write_csv(out, COMPARISONS, [{**row, "device": describe(where)} for row in [*rows, *more]])
    draw(out.with_suffix(".jpg"), bench, dataset.select("test", study.starts.test), pictures)
    latents, n = f"{study.known.count} latents of {made.name} at {made.generator.size} px", study.starts.test
    record = {"data": f"{latents}; {dataset.name} at {dataset.size} px: {n} test pictures", "n": n, "generator": painter}
    record |= {"command": command("benchmarks.latent"), "commit": at, "device": describe(where)}
    record |= {"rates": rates, "mapper": mapper_record(mapper, work), "seconds": round(time.perf_counter() - began, 1)}
    write_json(out.with_suffix(".json"), record)


def measure(bench: Bench, mapper: TrainedMapper, study: LatentStudy) -> tuple[list[Record], dict[str, float], dict[str, Tensor]]:
    """Rows of starts and of one pass; the chosen rates; the reconstructions."""
    steps = {"random": study.starts.steps, "mean": study.starts.steps, "given": study.starts.steps // THIRD}
    rates = {start: best_rate(bench, mapper, start, steps[start], study.starts) for start in STARTS}
    rows = bench.dataset.select("test", study.starts.test)
    found = {start: descents(bench, mapper, rows, start, steps=steps[start], rate=rates[start]) for start in STARTS}
    sources = [bench.dataset.index[row]["source"] for row in rows]
    about: Record = {"dataset": bench.dataset.name, "size": bench.dataset.size}
    about |= {"network": mapper.network, "tap": "+".join(mapper.taps)}
    painted = one_pass(bench, mapper, rows)
    made = {"mapper, one pass": painted} | {f"from {start}, {steps[start]} steps": found[start].images for start in STARTS}
    return (
        [*start_rows(found, sources, about), *pass_rows(bench, painted, rows, sources, about)],
        {str(start): rate for start, rate in rates.items()},
        made,
    )


if __name__ == "__main__":
    main()
