"""How well latents are found: known ones from noise, and how soon a mapper's start is where others arrive.

    python -m benchmarks.latent --group latents --out docs/results/latent.csv

`known_latent`: pictures that the generator makes of drawn z are inverted by their pixels, from random latents, in z, w and w+;
the restart is chosen by the error itself. `mapper_start`: features of held-out photographs are inverted in w+ from random
latents, from the mean and from the mapper's; how many steps does each take to the loss that another has after them all?
Generator, mapper, taps and optimiser are those of `invert_latent.<group>`. Writes comparisons' columns and a `.json`.
"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from scipy.special import betaincinv
from torch import Tensor

from benchmarks.common import command, commit
from relume.core.config import build, read_params
from relume.core.errors import UserError
from relume.core.files import write_csv, write_json
from relume.core.run import Run
from relume.core.runtime import describe, deterministic, device_of, generator
from relume.data.store import Dataset
from relume.evaluation.comparison import COMPARISONS
from relume.evaluation.statistics import Interval, interval, paired
from relume.features.networks import Network, load
from relume.features.weights import WeightStore
from relume.inversion.config import InvertOptimise, merge
from relume.inversion.latent import spaces
from relume.inversion.latent_config import InvertLatent, inherited
from relume.inversion.optimise import Outcome, Problem, Report, optimise
from relume.inversion.targets import Provider
from relume.inversion.terms import Material, objective
from relume.models.generator import Generator
from relume.training.trained_gan import read_gan
from relume.training.trained_mapper import TrainedMapper, read_mapper

FOUND, WANTED = 30.0, 0.9  # dB from which a latent counts as found; share of them
THIRD = 3  # a mapper's start is to be so many times as fast
SPACES = ("z", "w", "w_plus")
LEVEL = 0.95
Record = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Bench:
    run: Run
    device: torch.device
    generator: Generator
    base: Mapping[str, Any]  # of the group: as `invert_latent.<group>.base`

    def settings(self, space: str, start: str, **differences: Any) -> InvertOptimise:
        """The group's base in this space, plain: no views, no growth, nothing asked of the latent."""
        latent = {"kind": "latent", "space": space, "start": start, "noise": False}
        bare = {"views": {"transforms": [], "ensemble": 1}, "sizes": [], "switches": [], "restarts": 1}
        return build(InvertOptimise, {**merge(self.base, {**bare, **differences}), "parametrisation": latent}, "benchmark")


def known(bench: Bench, space: str, *, count: int, restarts: int, steps: int, rate: float) -> np.ndarray:
    """PSNR in dB of the best restart of each drawn latent: (count,)."""
    optimiser = {"rule": "adam", "learning_rate": [[0, rate]], "warmup": 0, "cosine": True}
    config = bench.settings(space, "random", steps=steps, restarts=restarts, trace_every=steps, optimiser=optimiser)
    width, found = max(1, bench.run.micro_batch // restarts), []
    for at in range(0, count, width):
        numbers = range(at, min(at + width, count))
        with torch.no_grad():
            truth = bench.generator(bench.generator.draw([generator(bench.run.seed, "truth", number) for number in numbers]))
        outcome = _sought(bench, config, truth.repeat_interleave(restarts, 0), [(n, r) for n in numbers for r in range(restarts)])
        errors = outcome.objective.double().cpu().view(-1, restarts).min(1).values
        found.append(-10 * errors.clamp_min(1e-10).log10())
    return torch.cat(found).numpy()


def _sought(bench: Bench, config: InvertOptimise, pictures: Tensor, ids: Sequence[tuple[int, int]]) -> Outcome:
    """The generator's own pictures, found again by their pixels."""
    problem = Problem(
        size=pictures.shape[-1],
        objective=objective(config, {"pixel": 1.0}, Material(heads={})),
        networks={},
        targets={},
        restarts=config.restarts,
        start=torch.zeros_like(pictures),
        originals=pictures,
        generators=[generator(bench.run.seed, "start", *one) for one in ids],
        space=spaces(bench.generator),
        run=bench.run,
    )
    return optimise(problem, config, lambda report: None)


def curves(bench: Bench, start: str, mapper: TrainedMapper, dataset: Dataset, network: Network, *, steps: int) -> np.ndarray:
    """The lowest feature loss so far after 0, 1, … `steps` steps, for each picture of the group's split: (steps + 1, N)."""
    config = bench.settings("w_plus", start, steps=steps, trace_every=1)
    provider = Provider(dataset, {config.network: network}, bench.device)
    rows, width, found = dataset.select(config.split, config.count), bench.run.micro_batch, []
    for part in (rows[at : at + width] for at in range(0, len(rows), width)):
        features = provider.features(part, {config.network: tuple(dict.fromkeys([*config.taps, *mapper.taps]))})
        given = _named(bench, mapper, features[config.network]) if start == "given" else None
        problem = Problem(
            size=dataset.size,
            objective=objective(config, {"feature": 1.0}, Material(heads={})),
            networks=provider.networks,
            targets=features,
            start=torch.zeros(len(part), 3, dataset.size, dataset.size, device=bench.device),
            originals=None,
            generators=[generator(bench.run.seed, "start", name) for name in dataset.ids(part)],
            space=spaces(bench.generator, given),
            run=bench.run,
        )
        reports: list[Report] = []
        optimise(problem, config, reports.append)
        found.append(torch.stack([report.terms["objective"].double().cpu() for report in reports]))
    return np.minimum.accumulate(torch.cat(found, dim=1).numpy(), axis=0)


def _named(bench: Bench, mapper: TrainedMapper, features: Mapping[str, Tensor]) -> Tensor:
    latents = mapper.latents(features)
    return bench.generator.map(latents) if mapper.space == "z" else latents


def steps_to(curve: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Steps until each picture's loss is at most its goal; one more than there were where it never is: (N,)."""
    reached = curve <= goal
    return np.where(reached.any(0), reached.argmax(0), len(curve)).astype(float)


def share(found: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share."""
    tail = (1 - level) / 2
    low = float(betaincinv(found, n - found + 1, tail)) if found else 0.0
    high = float(betaincinv(found + 1, n - found, 1 - tail)) if found < n else 1.0
    return low, high


def known_rows(name: str, size: int, space: str, psnr: np.ndarray) -> Iterator[Record]:
    """The share that is found, against the share that is wanted; and the mean PSNR."""
    n, found = len(psnr), int((psnr >= FOUND).sum())
    low, high = share(found, n)
    about = {"question": "known_latent", "a": space, "b": "wanted", "dataset": name, "size": size, "n": n, "sources": n}
    bounds = {"mean_a": found / n, "mean_b": WANTED, "diff": found / n - WANTED, "lo": low - WANTED, "hi": high - WANTED}
    yield {**about, "metric": f"share_{FOUND:g}_db", **bounds}
    mean = interval(psnr, [str(number) for number in range(n)], seed=0)
    yield {**about, "metric": "psnr", "mean_a": mean.mean, "mean_b": FOUND, **_moved(mean, FOUND)}


def _moved(one: Interval, by: float) -> Record:
    return {"diff": one.mean - by, "lo": one.lo - by, "hi": one.hi - by}


def start_rows(all_curves: Mapping[str, np.ndarray], sources: Sequence[str], about: Record) -> Iterator[Record]:
    """Steps of the mapper's start to what random and mean starts reach in all theirs, against a third of these; one pass."""
    mapped = all_curves["given"]
    for other in ("random", "mean"):
        taken, allowed = steps_to(mapped, all_curves[other][-1]), np.full(len(sources), (len(mapped) - 1) / THIRD)
        yield from _row(taken, allowed, sources, {**about, "b": f"third_of_{other}", "metric": "steps"})
        yield from _row(mapped[0], all_curves[other][0], sources, {**about, "b": other, "metric": "loss_before"})
        yield from _row(mapped[-1], all_curves[other][-1], sources, {**about, "b": other, "metric": "loss_after"})


def _row(a: np.ndarray, b: np.ndarray, sources: Sequence[str], about: Record) -> Iterator[Record]:
    found = paired(a, b, sources, seed=0, level=LEVEL)
    counted = {"question": "mapper_start", "a": "mapper", "n": found.n, "sources": found.sources}
    yield {**about, **counted, "mean_a": a.mean(), "mean_b": b.mean(), "diff": found.mean, "lo": found.lo, "hi": found.hi}


def of_starts(bench: Bench, mapper: TrainedMapper, dataset: Dataset, store: WeightStore, steps: int) -> Iterator[Record]:
    if mapper.network != bench.base["network"]:
        raise UserError(f"{mapper.name} reads {mapper.network}, and {bench.base['network']} is inverted")
    network = load(mapper.network, store, bench.device)
    found = {start: curves(bench, start, mapper, dataset, network, steps=steps) for start in ("random", "mean", "given")}
    rows = dataset.select(bench.base["split"], bench.base["count"])
    sources = [dataset.index[row]["source"] for row in rows]
    about: Record = {"dataset": dataset.name, "size": dataset.size, "network": mapper.network, "tap": "+".join(mapper.taps)}
    yield from start_rows(found, sources, about)


@click.command(help=__doc__)
@click.option("--group", required=True, help="Name below `invert_latent` in params.yaml.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The table.")
@click.option("--count", type=click.IntRange(min=2), default=50, show_default=True, help="Latents that are drawn.")
@click.option("--restarts", type=click.IntRange(min=1), default=4, show_default=True)
@click.option("--steps", type=click.IntRange(min=1), default=1000, show_default=True, help="To find a known latent.")
@click.option("--rate", type=float, default=0.1, show_default=True, help="Learning rate, to find a known latent.")
@click.option("--start-steps", type=click.IntRange(min=1), default=100, show_default=True, help="Of every start.")
@click.option("--weights", type=click.Path(path_type=Path), multiple=True, default=[Path("models/weights")], show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="Instead of params.yaml's.")
@click.option("--micro-batch", type=click.IntRange(min=1), help="Instead of params.yaml's.")
def main(group: str, out: Path, weights: tuple[Path, ...], device: str | None, micro_batch: int | None, **numbers: Any) -> None:
    began, at = time.perf_counter(), commit()
    try:
        params = read_params(Path("params.yaml"))
        if group not in params["invert_latent"]:
            raise UserError(f"--group: no group {group!r} in invert_latent")
        stated = build(InvertLatent, params["invert_latent"][group], f"invert_latent.{group}")
        config = inherited(stated, params["invert_optimise"])
        changes = {key: value for key, value in (("device", device), ("micro_batch", micro_batch)) if value}
        run = build(Run, merge(params["run"], changes), "run")
        where = device_of(run)
        deterministic()
        made = read_gan(Path(config.generator), where)
        bench = Bench(run=run, device=where, generator=made.generator, base=config.base)
        rows = measure(bench, made.name, config, WeightStore(*weights), **numbers)
    except UserError as error:
        click.secho(f"latent: {error}", fg="red", err=True)
        sys.exit(1)
    for row in rows:
        click.echo("{question}: {a} against {b}, {metric}: {mean_a:.4g}, {mean_b:.4g} ({lo:+.3g} to {hi:+.3g})".format(**row))
    write_csv(out, COMPARISONS, [{**row, "device": describe(where)} for row in rows])
    data = f"{numbers['count']} latents of {made.name} at {made.generator.size} px; photographs of {config.base['dataset']}"
    about = {"command": command("benchmarks.latent"), "commit": at, "data": data, "n": numbers["count"]}
    write_json(out.with_suffix(".json"), {**about, "device": describe(where), "seconds": round(time.perf_counter() - began, 1)})


def measure(
    bench: Bench,
    name: str,
    config: InvertLatent,
    store: WeightStore,
    *,
    count: int,
    restarts: int,
    steps: int,
    rate: float,
    start_steps: int,
) -> list[Record]:
    """All rows; the mapper's only where the group has one."""
    rows: list[Record] = []
    for space in SPACES:
        psnr = known(bench, space, count=count, restarts=restarts, steps=steps, rate=rate)
        rows += known_rows(name, bench.generator.size, space, psnr)
    if config.mapped:
        mapper, dataset = (
            read_mapper(Path(config.mapper), bench.device),
            Dataset.open(Path("data/images", config.base["dataset"])),
        )
        rows += of_starts(bench, mapper, dataset, store, start_steps)
    return rows


if __name__ == "__main__":
    main()
