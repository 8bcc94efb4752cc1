"""Landscape learning against plain inference on held-out images: at equal steps, few against many, and at equal seconds.

    python -m benchmarks.landscape DATA --study benchmarks/studies/NAME.yaml --generator models/gan/NAME --work FOLDER

DATA is a prepared dataset (data/images/NAME, or one in the work folder of benchmarks.gan) of the generator's kind of images.
Thetas are trained on its training images, one per seed, and kept in the work folder. Searches start at the mean latent, at
random latents, or at a mapper's (`--mapper`). Each method uses the study's rate and betas of Adam that are best on validation
images after the same number of steps; plain inference has its own for few steps and for many. The result of a search is its
best state so far; an image counts with its mean over seeds. Equal seconds: the other method's state when plain inference has
taken its few steps. Writes the columns of comparisons.csv, a `.json` with all curves and a `.jpg` of them.
"""

import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.common import commit
from benchmarks.landscape_runs import PUBLISHED, Bench, Found, LandscapeStudy, called, judged, rated, searches
from relume.core.config import build, entry, merge, read_params
from relume.core.errors import UserError
from relume.core.files import write_csv, write_json
from relume.core.run import Run
from relume.core.runtime import describe, deterministic, device_of
from relume.data.store import Dataset
from relume.evaluation.comparison import COMPARISONS
from relume.evaluation.statistics import expanded_tail, interval
from relume.methods.gan.model import read_gan
from relume.methods.landscape.config import LandscapeConfig
from relume.methods.landscape.infer import of
from relume.networks.weights import WeightStore

PARAMS, RESULTS = Path("params.yaml"), Path("docs/results")
FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
RESAMPLES = 5000


def bench_of(
    file: Path,
    data: Path,
    generator: Path,
    *,
    work: Path,
    mapper: Path | None,
    weights: Sequence[Path],
    landscapes: Sequence[Path] = (),
) -> Bench:
    """Raises for every fault of the study, before any work."""
    study, params = build(LandscapeStudy, read_params(file), "study"), read_params(PARAMS)
    run = build(Run, merge(params["run"], study.run), "study.run")
    own = {"dataset": data.resolve().name, "generator": f"models/gan/{generator.resolve().name}"}
    return Bench(
        root=work,
        study=study,
        run=run,
        dataset=Dataset.open(data),
        store=WeightStore(*weights),
        trained=read_gan(generator, device_of(run)),
        config=entry(LandscapeConfig, merge(params["train_landscape"]["shared"], study.shared), own, "study.shared"),
        mapper=mapper,
        landscapes=landscapes,
    )


@dataclass(frozen=True, kw_only=True)
class Reached:
    """One method: the loss so far, (pictures, steps + 1), a mean over seeds; seconds of one seed, (steps + 1,)."""

    loss: np.ndarray
    seconds: np.ndarray

    def at(self, seconds: float) -> np.ndarray:
        """The loss that is reached within these seconds; at least the first one."""
        return self.loss[:, max(0, int(np.searchsorted(self.seconds, seconds, side="right")) - 1)]


def reached(found: Found, method: str) -> Reached:
    own = of(found, method)
    return Reached(loss=np.mean([one.best for one in own], axis=0), seconds=np.mean([one.seconds for one in own], axis=0))


def rows_of(bench: Bench, found: Found, sources: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Inference through theta against plain inference, from every start."""
    few, many = bench.study.steps, bench.study.long
    about = {"dataset": bench.dataset.name, "size": bench.trained.generator.size, "device": describe(device_of(bench.run))}
    for one, other in product(bench.starts, bench.starts):
        name, short, long = called("landscape", one, few), called("plain", other, few), called("plain", other, many)
        a, b, end = (reached(found, method) for method in (name, short, long))
        pairs = {
            f"{few} steps against {many}": (long, a.loss[:, few], end.loss[:, many]),
            f"after {few} steps": (short, a.loss[:, few], b.loss[:, few]),
            f"in the seconds of {few} plain steps": (short, a.at(b.seconds[few]), b.loss[:, few]),
        }
        for question, (rival, ours, theirs) in pairs.items():
            row = {"question": question, "a": name, "b": rival, "metric": "loss"}
            yield {**about, **row, **_paired(ours, theirs, sources)}


def worth(bench: Bench, found: Found, sources: Sequence[str]) -> Iterator[dict[str, Any]]:
    """How many plain steps reach what theta reaches in few, over these few: with a start of plain inference for each start of
    theta, and with the publication's plain inference. At most `long` steps were taken: this ratio then says "or more"."""
    few, many = bench.study.steps, bench.study.long
    about = {"dataset": bench.dataset.name, "size": bench.trained.generator.size, "device": describe(device_of(bench.run))}
    rivals = [called("plain", start, many) for start in bench.starts] + [PUBLISHED] * bool(bench.study.published)
    names, which = np.unique(list(sources), return_inverse=True)
    drawn = np.random.default_rng(0).integers(len(names), size=(RESAMPLES, len(names)))
    weights = np.stack([np.bincount(draw, minlength=len(names)) for draw in drawn])[:, which].astype(float)
    weights = np.concatenate([np.ones((1, len(sources))), weights])
    tail = expanded_tail(len(names), 0.95)
    for start, rival in product(bench.starts, rivals):
        goal = weights @ reached(found, called("landscape", start, few)).loss[:, few]
        curves = weights @ reached(found, rival).loss
        steps = np.where(curves[:, -1] <= goal, (curves <= goal[:, None]).argmax(1), many)
        low, high = np.quantile(steps[1:], [tail, 1 - tail]) / few
        row: dict[str, Any] = {
            "question": f"plain steps, at most {many}, worth {few} through theta",
            "a": called("landscape", start, few),
            "b": rival,
        }
        row |= {"metric": "ratio", "n": len(sources), "sources": len(names), "mean_a": few, "mean_b": int(steps[0])}
        yield {**about, **row, "diff": steps[0] / few, "lo": float(low), "hi": float(high)}


def _paired(a: np.ndarray, b: np.ndarray, sources: Sequence[str]) -> dict[str, Any]:
    difference = interval(np.asarray(a, np.float64) - b, sources, seed=0, resamples=RESAMPLES)
    means = {"mean_a": float(a.mean()), "mean_b": float(b.mean())}
    return means | {"diff": difference.mean, "lo": difference.lo, "hi": difference.hi, "n": len(a), "sources": difference.sources}


def curve(found: Found, sources: Sequence[str]) -> dict[str, Any]:
    """By method: seconds and mean losses at every step, intervals at the last step, and the last loss of each seed."""
    curves = {}
    for name in dict.fromkeys(name for name, _ in found):
        one = reached(found, name)
        last = interval(one.loss[:, -1], sources, seed=0, resamples=RESAMPLES)
        curves[name] = {
            "seconds": [round(float(value), 4) for value in one.seconds],
            "loss": [round(float(value), 6) for value in one.loss.mean(0)],
            "last": [round(last.lo, 6), round(last.hi, 6)],
            "seeds": [round(float(own.best[:, -1].mean()), 6) for own in of(found, name)],
        }
    return curves


def command(bench: Bench, file: Path) -> str:
    """Folder names instead of paths."""
    said = [bench.dataset.name, "--study", str(file), "--generator", bench.config.generator, "--work", bench.root.resolve().name]
    said += ["--mapper", f"models/mapper/{bench.mapper.resolve().name}"] if bench.mapper else []
    said += [word for one in bench.landscapes for word in ("--landscape", f"models/landscape/{one.resolve().name}")]
    return shlex.join(["python", "-m", "benchmarks.landscape", *said])


def tell(bench: Bench, found: Found, sources: Sequence[str]) -> dict[str, Any]:
    """The `.json` beside the table."""
    study, dataset = bench.study, bench.dataset
    size = f"{bench.trained.generator.size} px"
    learned = (
        f"theta learned on {len(dataset.select('train'))} others, {study.seeds} times; rates chosen on {study.tuning} of val"
        if not bench.landscapes
        else f"theta: {', '.join(one.resolve().name for one in bench.landscapes)}"
    )
    return {
        "data": f"{dataset.name}: the first {study.pictures} test pictures at {size}; {learned}",
        "n": study.pictures,
        "device": describe(device_of(bench.run)),
        "curves": curve(found, sources),
    }


def draw(found: Mapping[tuple[str, int], Any], out: Path, *, pictures: int) -> None:
    """Loss over steps and over seconds, all methods in one colour each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    sides = figure.subplots(1, 2, sharey=True)
    for number, name in enumerate(dict.fromkeys(name for name, _ in found)):
        one, style = reached(dict(found), name), "-" if name.startswith("landscape") else "--"
        mean = one.loss.mean(0)
        for side, along in zip(sides, (np.arange(len(mean)), one.seconds / pictures), strict=True):
            side.plot(along, mean, style, color=f"C{number}", label=name)
    for side, words in zip(sides, ("steps", "seconds per picture"), strict=True):
        side.set(xlabel=words, yscale="log")
        side.grid(alpha=0.3)
    sides[0].set_ylabel("lowest loss so far")
    sides[1].legend(frameon=False, fontsize=8)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)


@click.command(help=__doc__)
@click.argument("data", type=FOLDER)
@click.option("--study", "file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True)
@click.option("--work", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of trained models; reused.")
@click.option("--generator", type=FOLDER, required=True)
@click.option("--mapper", type=FOLDER, help="A mapper to the same latents.")
@click.option("--landscape", "landscapes", type=FOLDER, multiple=True, help="A trained landscape, instead of training one.")
@click.option("--weights", type=FOLDER, multiple=True, default=[Path("models/weights")], show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="The table; docs/results/<study>.csv if not given.")
def main(
    data: Path,
    file: Path,
    work: Path,
    generator: Path,
    mapper: Path | None,
    landscapes: tuple[Path, ...],
    weights: tuple[Path, ...],
    out: Path | None,
) -> None:
    started, at = time.perf_counter(), commit()
    try:
        bench = bench_of(file, data, generator, work=work, mapper=mapper, weights=weights, landscapes=landscapes)
        deterministic()
        rows = bench.dataset.select("test", bench.study.pictures)
        made = searches(bench)
        rates = rated(bench, made[0])
        found = judged(bench, made, rates, rows)
    except UserError as error:
        click.secho(f"landscape: {error}", fg="red", err=True)
        sys.exit(1)
    sources, out = [bench.dataset.index[row]["source"] for row in rows], out or RESULTS / f"{file.stem}.csv"
    table = [*rows_of(bench, found, sources), *worth(bench, found, sources)]
    write_csv(out, COMPARISONS, table)
    spent = {"command": command(bench, file), "commit": at, "seconds": round(time.perf_counter() - started, 1)}
    write_json(out.with_suffix(".json"), tell(bench, found, sources) | {"rates": rates} | spent)
    draw(found, out.with_suffix(".jpg"), pictures=len(rows))
    for row in table:
        difference = f"{row['diff']:.4f} [{row['lo']:.4f}, {row['hi']:.4f}]"
        click.echo(f"{row['a']} - {row['b']}, {row['question']}: {row['mean_a']:.4f} - {row['mean_b']:.4f} = {difference}")


if __name__ == "__main__":
    main()
