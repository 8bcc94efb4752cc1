"""Landscape learning against plain inference on held-out pictures, at equal steps and at equal seconds.

    python -m benchmarks.landscape DATA --generator models/gan/NAME --landscape models/landscape/NAME

DATA is a prepared dataset (data/images/NAME) of the generator's kind of pictures. Every method begins at the same draws, several
per picture, or where the mapper says (`--mapper`); each has the rate, of those given, that does best on validation pictures. What
a descent returns is its best state so far, and a picture counts with its mean over seeds. Equal seconds: what the other has
reached by the time that the plain way has taken `--steps` steps. Writes the columns of comparisons.csv, and a `.json` beside it.
"""

import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.common import commit
from relume.core.config import read_params
from relume.core.errors import UserError
from relume.core.files import write_csv, write_json
from relume.core.run import Run
from relume.core.runtime import describe, deterministic, device_of
from relume.data.store import Dataset
from relume.evaluation.comparison import COMPARISONS
from relume.evaluation.statistics import interval, paired
from relume.features.weights import WeightStore
from relume.inversion.landscape import Descents, Search, invert, of, search
from relume.inversion.landscape_config import InvertLandscape, Way
from relume.training.trained_gan import read_gan

PARAMS = Path("params.yaml")
FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
Found = Mapping[tuple[str, int], Descents]


@dataclass(frozen=True, kw_only=True)
class Reached:
    """One method: the loss so far, (pictures, steps + 1), a mean over seeds; seconds of one seed, (steps + 1,)."""

    loss: np.ndarray
    seconds: np.ndarray

    def at(self, seconds: float) -> np.ndarray:
        """What is reached by then; at least the start."""
        return self.loss[:, max(0, int(np.searchsorted(self.seconds, seconds, side="right")) - 1)]


def reached(found: Found, method: str) -> Reached:
    own = of(found, method)
    return Reached(loss=np.mean([one.best for one in own], axis=0), seconds=np.mean([one.seconds for one in own], axis=0))


def ways(mapped: bool, steps: int, rate: float) -> dict[str, Way]:
    starts = {"": "noise", "_mapper": "mapper"} if mapped else {"": "noise"}
    return {
        f"{name}{ending}": Way(start=start, theta=name == "landscape", steps=steps, learning_rate=rate)  # type: ignore[arg-type]
        for ending, start in starts.items()
        for name in ("plain", "landscape")
    }


def rated(made: Search, config: InvertLandscape, rates: Sequence[float], *, pictures: int, steps: int) -> dict[str, float]:
    """The rate of each method that reaches the lowest loss on validation pictures after `steps` steps."""
    rows = made.dataset.select("val", min(pictures, len(made.dataset.select("val"))))
    losses: dict[str, dict[float, float]] = {}
    for rate in rates if len(rates) > 1 else ():
        tried = replace(config, seeds=config.seeds[:1], methods=ways(config.mapped, steps, rate))
        for (name, _), one in invert(made, tried, rows).items():
            losses.setdefault(name, {})[rate] = float(one.best[:, -1].mean())
    names = ways(config.mapped, steps, rates[0])
    return {name: min(losses[name], key=losses[name].__getitem__) if name in losses else rates[0] for name in names}


def rows_of(found: Found, sources: Sequence[str], *, steps: int, long: int, about: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every method against the plain one: after as many steps, few and many; few against many; after as many seconds."""
    names = list(dict.fromkeys(name for name, _ in found))
    made = {name: reached(found, name) for name in names}
    plain = made["plain"]
    for name in names[1:]:
        one = made[name]
        pairs = {
            f"after {steps} steps": (one.loss[:, steps], plain.loss[:, steps]),
            f"after {long} steps": (one.loss[:, long], plain.loss[:, long]),
            f"{steps} steps against {long}": (one.loss[:, steps], plain.loss[:, long]),
            f"in the seconds of {steps} plain steps": (one.at(plain.seconds[steps]), plain.loss[:, steps]),
        }
        for question, (a, b) in pairs.items():
            yield {**about, "question": question, "a": name, "b": "plain", "metric": "loss", **_paired(a, b, sources)}


def _paired(a: np.ndarray, b: np.ndarray, sources: Sequence[str]) -> dict[str, Any]:
    difference = paired(a, b, sources, seed=0, resamples=5000)
    means = {"mean_a": float(a.mean()), "mean_b": float(b.mean())}
    return means | {"diff": difference.mean, "lo": difference.lo, "hi": difference.hi, "n": len(a), "sources": difference.sources}


def curve(found: Found, sources: Sequence[str]) -> dict[str, Any]:
    """By method: seconds and mean losses at every step, with the losses' intervals at the last."""
    told = {}
    for name in dict.fromkeys(name for name, _ in found):
        one = reached(found, name)
        last = interval(one.loss[:, -1], sources, seed=0, resamples=5000)
        told[name] = {
            "seconds": [round(float(value), 4) for value in one.seconds],
            "loss": [round(float(value), 6) for value in one.loss.mean(0)],
            "last": [round(last.lo, 6), round(last.hi, 6)],
        }
    return told


@click.command(help=__doc__)
@click.argument("data", type=FOLDER)
@click.option("--generator", type=FOLDER, required=True)
@click.option("--landscape", type=FOLDER, required=True)
@click.option("--mapper", type=FOLDER, help="A mapper to the same latents.")
@click.option("--weights", type=FOLDER, multiple=True, default=[Path("models/weights")], show_default=True)
@click.option("--pictures", type=click.IntRange(min=2), default=48, show_default=True, help="Of the test split; of val at most.")
@click.option("--steps", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--long", type=click.IntRange(min=1), default=100, show_default=True)
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--rate", "rates", type=float, multiple=True, default=[0.1], show_default=True, help="Of Adam; repeat to choose.")
@click.option("--micro-batch", type=click.IntRange(min=1), default=24, show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("docs/results/landscape.csv"), show_default=True)
def main(
    data: Path,
    generator: Path,
    landscape: Path,
    mapper: Path | None,
    weights: tuple[Path, ...],
    pictures: int,
    steps: int,
    long: int,
    seeds: int,
    rates: tuple[float, ...],
    micro_batch: int,
    device: str,
    out: Path,
) -> None:
    started, at = time.perf_counter(), commit()
    try:
        if long < steps:
            raise UserError(f"--long: at least --steps, {steps}, is wanted; got {long}")
        seed = read_params(PARAMS)["run"]["seed"]
        run = Run(seed=seed, device=device, precision="float32", micro_batch=micro_batch)  # type: ignore[arg-type]
        deterministic()
        dataset, where = Dataset.open(data), device_of(run)
        made = search(
            dataset=dataset,
            store=WeightStore(*weights),
            trained=read_gan(generator, where),
            landscape=landscape,
            mapper=mapper,
            device=where,
            run=run,
        )
        config = InvertLandscape(
            dataset=dataset.name,
            split="test",
            count=pictures,
            generator=f"models/gan/{generator.resolve().name}",
            landscape=f"models/landscape/{landscape.resolve().name}",
            mapper=f"models/mapper/{mapper.resolve().name}" if mapper else f"models/gan/{generator.resolve().name}",
            seeds=tuple(range(seeds)),
            methods=ways(mapper is not None, long, rates[0]),
        )
        best = rated(made, config, rates, pictures=pictures, steps=steps)
        chosen = {name: replace(way, learning_rate=best[name]) for name, way in config.methods.items()}
        rows = dataset.select("test", pictures)
        found = invert(made, replace(config, methods=chosen), rows)
    except UserError as error:
        click.secho(f"landscape: {error}", fg="red", err=True)
        sys.exit(1)
    sources = [dataset.index[row]["source"] for row in rows]
    about = {"dataset": dataset.name, "size": made.painter.size, "device": describe(where)}
    table = list(rows_of(found, sources, steps=steps, long=long, about=about))
    write_csv(out, COMPARISONS, table)
    told = {
        "command": shlex.join(["python", "-m", "benchmarks.landscape", *sys.argv[1:]]),
        "commit": at,
        "data": f"{dataset.name}: the first {pictures} test pictures at {made.painter.size} px, {seeds} seeds",
        "n": pictures,
        "device": describe(where),
        "seconds": round(time.perf_counter() - started, 1),
        "rates": best,
        "curves": curve(found, sources),
    }
    write_json(out.with_suffix(".json"), told)
    for row in table:
        difference = f"{row['diff']:.4f} [{row['lo']:.4f}, {row['hi']:.4f}]"
        click.echo(f"{row['a']} - {row['b']}, {row['question']}: {row['mean_a']:.4f} - {row['mean_b']:.4f} = {difference}")


if __name__ == "__main__":
    main()
