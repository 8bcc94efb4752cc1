"""A whole group: pictures in shards cut at the micro-batch, restarts kept together, each finished shard safe from a kill."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from relume.core.errors import UserError
from relume.core.files import Scratch, atomic, read_json, write_json
from relume.core.images import to_float, to_uint8
from relume.core.results import Group, Row
from relume.core.runtime import Run, generator, randn, seed_of
from relume.inversion.config import InvertOptimise
from relume.inversion.optimise import Outcome, Problem, Report, optimise
from relume.inversion.targets import Provider
from relume.losses.objective import Objective


@dataclass(frozen=True, kw_only=True)
class Work:
    """Everything that the shards of a group share."""

    name: str
    config: InvertOptimise
    run: Run
    objective: Objective
    provider: Provider
    start: Group | None  # begin from an earlier group's pictures
    scratch: Scratch
    watch: Callable[[int, Mapping[str, float]], None] = lambda step, values: None  # a live view of the run, step by step


def invert(work: Work) -> tuple[np.ndarray, list[Row], list[dict[str, Any]], list[dict[str, Any]]]:
    """Pictures (uint8), index rows, trace rows and timing rows of the group."""
    config, dataset = work.config, work.provider.dataset
    rows = dataset.select(config.split, config.count)
    width = max(1, work.run.micro_batch // config.restarts)
    shards = [rows[i : i + width] for i in range(0, len(rows), width)]
    with tqdm(total=len(rows) * config.steps, desc=work.name, unit="step", dynamic_ncols=True) as bar:
        done = [_shard(work, number, shard, bar) for number, shard in enumerate(shards)]
    images = np.concatenate([shard.images for shard in done])
    index = [row for shard in done for row in shard.rows]
    return images, index, _trace(work.name, done), _timing(work.name, done)


@dataclass(frozen=True, kw_only=True)
class Shard:
    images: np.ndarray  # uint8, restarts of a picture side by side
    rows: list[Row]
    log: list[dict[str, Any]]  # step, seconds, and per term [sum, count]


def _shard(work: Work, number: int, rows: list[int], bar: "tqdm[Any]") -> Shard:
    pictures, notes = work.scratch.path(f"{number:05}.npy"), work.scratch.path(f"{number:05}.json")
    if pictures.exists() and notes.exists():  # the notes are written last
        saved = read_json(notes)
        bar.update(len(rows) * work.config.steps)
        return Shard(images=np.load(pictures), rows=[Row(**row) for row in saved["rows"]], log=saved["log"])
    log: list[dict[str, Any]] = []
    before = number * work.config.steps  # shards follow each other on the live view's axis

    def note(report: Report) -> None:
        _note(report, log, bar, len(rows))
        work.watch(before + report.step, {name: total / count for name, (total, count) in log[-1]["terms"].items()})

    outcome = optimise(_problem(work, rows), work.config, note)
    shard = Shard(images=to_uint8(outcome.images), rows=_rows(work, rows, outcome), log=log)
    with atomic(pictures) as temporary, temporary.open("wb") as file:
        np.save(file, shard.images, allow_pickle=False)
    write_json(notes, {"rows": [vars(row) for row in shard.rows], "log": log})
    return shard


def _note(report: Report, log: list[dict[str, Any]], bar: "tqdm[Any]", pictures: int) -> None:
    terms = {name: [float(value.cpu().double().sum()), len(value)] for name, value in report.terms.items()}
    bar.update(pictures * (report.step - (log[-1]["step"] if log else 0)))
    total, count = terms["objective"]
    bar.set_postfix(objective=f"{total / count:.4g}", refresh=False)
    log.append({"step": report.step, "seconds": report.seconds, "terms": terms})


def _problem(work: Work, rows: list[int]) -> Problem:
    """Restarts of a picture stand side by side: row * restarts + restart."""
    config, provider = work.config, work.provider
    ids = [(name, restart) for name in provider.dataset.ids(rows) for restart in range(config.restarts)]
    targets = {
        network: {tap: value.repeat_interleave(config.restarts, 0) for tap, value in taps.items()}
        for network, taps in provider.features(rows, work.objective.needs).items()
    }
    originals = provider.originals(rows, work.objective)
    return Problem(
        size=provider.dataset.size,
        objective=work.objective,
        networks=provider.networks,
        targets=targets,
        start=_start(work, ids).to(provider.device),
        originals=originals if originals is None else originals.repeat_interleave(config.restarts, 0),
        generators=[generator(work.run.seed, "views", *one) for one in ids],
        run=work.run,
    )


def _start(work: Work, ids: Sequence[tuple[str, int]]) -> Tensor:
    """An earlier group's pictures or a grey field, with gaussian noise on top, in [0, 1]."""
    config, dataset = work.config, work.provider.dataset
    size = config.sizes[0][1] if config.sizes else dataset.size
    noise = config.init.std * randn((3, size, size), [seed_of(work.run.seed, "init", *one) for one in ids])
    if work.start is None:
        return (config.init.mean + noise).clamp(0, 1)
    found = {row["id"]: place for place, row in enumerate(work.start.index) if row["selected"] == "true"}
    missing = [name for name, _ in ids if name not in found]
    if missing:
        raise UserError(f"{work.start.folder} has no picture for {', '.join(missing[:5])}: it cannot be a start of {work.name}")
    base = to_float(work.start.images[[found[name] for name, _ in ids]])
    return (torch.nn.functional.interpolate(base, size=(size, size), mode="area") + noise).clamp(0, 1)


def _rows(work: Work, rows: list[int], outcome: Outcome) -> list[Row]:
    config, dataset = work.config, work.provider.dataset
    values = outcome.objective.cpu().double().view(len(rows), config.restarts)
    chosen = values.argmin(1)
    return [
        Row(
            method=work.name,
            family="optimise" if work.start is None else "hybrid",
            task="feature",
            oracle=work.objective.oracle,
            id=name,
            dataset=dataset.name,
            size=dataset.size,
            network=config.network,
            tap="+".join(config.taps),
            restart=restart,
            selected=bool(restart == chosen[place]),
            objective=float(values[place, restart]),
        )
        for place, name in enumerate(dataset.ids(rows))
        for restart in range(config.restarts)
    ]


def _trace(name: str, shards: Sequence[Shard]) -> list[dict[str, Any]]:
    """Means over all pictures and restarts."""
    sums: dict[tuple[int, str], list[float]] = defaultdict(lambda: [0.0, 0])
    for note in (note for shard in shards for note in shard.log):
        for term, (total, count) in note["terms"].items():
            sums[note["step"], term][0] += total
            sums[note["step"], term][1] += count
    return [
        {"method": name, "step": step, "term": term, "value": total / count}
        for (step, term), (total, count) in sorted(sums.items())
    ]


def _timing(name: str, shards: Sequence[Shard]) -> list[dict[str, Any]]:
    """Shards one after the other, so their seconds add up."""
    seconds: dict[int, float] = defaultdict(float)
    for note in (note for shard in shards for note in shard.log):
        seconds[note["step"]] += note["seconds"]
    return [{"method": name, "step": step, "seconds": value} for step, value in seconds.items()]
