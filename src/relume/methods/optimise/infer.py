"""Inverts a group in shards of a micro-batch, with all restarts of an image in one shard. Shards are saved and resumed."""

import importlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from relume.core.checkpoint import Checkpoint
from relume.core.errors import UserError
from relume.core.files import Scratch, read_json, write_json
from relume.core.images import to_float, to_uint8
from relume.core.results import Group, Row, new_images, write_array
from relume.core.run import Run
from relume.core.sheet import grid
from relume.data.store import Dataset
from relume.losses.objective import Activations, Objective
from relume.methods.optimise import parametrise
from relume.methods.optimise.config import InversionConfig, Latent
from relume.methods.optimise.guide import Guide
from relume.methods.optimise.optimise import Descent, Problem, Report, forward_pass, optimise
from relume.methods.optimise.path import FOLLOWED, KEPT
from relume.methods.optimise.problem import problem, repeated
from relume.methods.optimise.targets import Provider, select_method
from relume.methods.optimise.terms import Material, Surrogate, objective
from relume.methods.optimise.trace import Trace, entry, means
from relume.networks.network import load
from relume.networks.weights import WeightStore

SHOWN = 8  # images in a row of the live view

Result = tuple[np.ndarray, list[Row], list[dict[str, Any]], list[dict[str, Any]]]  # images, index, trace and timing of a group
Watch = Callable[[int, Mapping[str, float], np.ndarray | None], None]  # step, values, a sheet of images


@dataclass(frozen=True, kw_only=True)
class Work:
    """Inputs that all shards of a group share."""

    name: str
    config: InversionConfig
    run: Run
    objective: Objective
    provider: Provider
    scratch: Scratch
    space: parametrise.Spaces = parametrise.build  # builds spaces from their parameters
    initial_image: Callable[[Activations], parametrise.Spaces] | None = None  # the same, from the target features
    start: Group | None = None  # initial images
    reference: Group | None = None  # of the `ref` term
    watch: Watch = lambda step, values, sheet: None  # live logging
    frames: int = 0  # steps between sheets for `watch`; 0: no sheets

    @cached_property
    def guide(self) -> tuple[Guide | None, float]:
        """The linear map, if needed, and the seconds of its fit, which count as the method's time. A start replaces it."""
        config, started = self.config, time.perf_counter()
        if self.start is not None or (not config.losses.guide and config.init.base != "guide"):
            return None, 0.0
        return self.provider.guide(config, self.provider.dataset.size), time.perf_counter() - started

    @property
    def oracle(self) -> bool:
        """Whether its objective, start or reference uses the originals."""
        groups = [group for group in (self.start, self.reference) if group is not None]
        return self.objective.oracle or any(row["oracle"] == "true" for group in groups for row in group.index)

    @property
    def family(self) -> str:
        if isinstance(self.config.parametrisation, Latent):
            return "hybrid" if self.config.switches else "latent"
        return "optimise" if self.start is None else "hybrid"

    @property
    def width(self) -> int:
        """Images per shard."""
        return max(1, self.run.micro_batch // self.config.restarts)


def work(
    *,
    name: str,
    config: InversionConfig,
    run: Run,
    dataset: Dataset,
    store: WeightStore,
    device: torch.device,
    scratch: Scratch,
    start: Group | None = None,
    reference: Group | None = None,
    surrogate: Surrogate | None = None,
    watch: Watch = lambda step, values, sheet: None,
    frames: int = 0,
) -> Work:
    """Builds the objective and loads its networks."""
    goal = objective(config, Material(store=store, device=device, surrogate=surrogate))
    networks = {network: load(network, store, device) for network in {config.network, *goal.needs, *goal.targets}}
    return Work(
        name=name,
        config=config,
        run=run,
        objective=goal,
        provider=Provider(dataset, networks, device),
        scratch=scratch,
        start=start and select_method(start, config, name),
        reference=reference and select_method(reference, config, name),
        watch=watch,
        frames=frames,
    )


def invert(work: Work, folder: Path | None = None) -> Result:
    """The images are in a file in `folder`, if it is given."""
    compute(work)
    data = work.provider.dataset
    images = new_images(folder, row_count(data, work.config), data.size)
    return images, *join(work, images)


def row_count(dataset: Dataset, config: InversionConfig) -> int:
    return len(dataset.select(config.split, config.count)) * config.restarts


def compute(work: Work) -> None:
    """All shards, in this process or in jobs. What is done stays in `scratch`."""
    shards = _shards(work)
    with tqdm(total=sum(map(len, shards)) * work.config.steps, desc=work.name, unit="step", dynamic_ncols=True) as bar:
        launch = importlib.import_module("relume.launch")  # by name: where shards run changes no result
        launch.run(
            work.scratch.folder,
            range(len(shards)),
            lambda number: _notes(work, number).exists(),
            lambda number: _shard(work, number, shards[number], bar),
        )
        for number, shard in enumerate(shards):
            _shard(work, number, shard, bar)


def join(work: Work, images: np.ndarray) -> tuple[list[Row], list[dict[str, Any]], list[dict[str, Any]]]:
    """After `compute`: a shard at a time into `images`."""
    rows, trace = list[Row](), Trace()
    for number, shard in enumerate(_shards(work)):
        notes = read_json(_notes(work, number))
        own = _rows(work, shard, notes["objective"])
        images[len(rows) : len(rows) + len(own)] = np.load(work.scratch.path(f"{number:05}.npy"))
        trace.add(notes["log"])
        rows += own
    return rows, trace.rows(work.name), trace.timing(work.name, work.guide[1])


def dry_run_report(work: Work) -> str:
    """A dry run: the number of steps, the estimated time and the terms. Writes nothing."""
    images, (_, fit) = sum(map(len, _shards(work))), work.guide
    whole = fit + seconds_per_step(work) * images * work.config.steps
    return (
        f"{work.name}: {images} images x {work.config.restarts} restarts x {work.config.steps} steps, "
        f"about {whole / 60:.3g} min; terms: {', '.join(f'{term.name} x {term.weight:g}' for term in work.objective.terms)}"
        f"{'; an oracle: it uses the original images' if work.oracle else ''}"
    )


def seconds_per_step(work: Work, steps: int = 3) -> float:
    """Seconds per step and image: the fastest of `steps`, at the last of `sizes`, in the first shard."""
    steady = replace(work.config.optimiser, learning_rate=work.config.optimiser.learning_rate[:1])
    last = tuple((0, side) for _, side in work.config.sizes[-1:])
    brief = replace(work.config, steps=steps + 1, sizes=last, switches=(), trace_every=steps + 1, optimiser=steady)
    problem = _problem(replace(work, config=brief), rows := _shards(work)[0])
    descent, taken = Descent(problem, brief), []
    with forward_pass(problem) as forward:
        for _ in range(steps + 1):
            before = descent.seconds
            descent.advance(forward, lambda report: None)
            taken.append(descent.seconds - before)
    return min(taken[1:]) / len(rows)  # the first step warms up and reports


def _shards(work: Work) -> list[list[int]]:
    """Rows per micro-batch, with all restarts of an image in one shard."""
    rows = work.provider.dataset.select(work.config.split, work.config.count)
    return [rows[i : i + work.width] for i in range(0, len(rows), work.width)]


def _notes(work: Work, number: int) -> Path:
    return work.scratch.path(f"{number:05}.json")  # a shard's last file


def _shard(work: Work, number: int, rows: list[int], bar: "tqdm[Any]") -> None:
    """Its images, restarts of an image side by side, the path of the first ones, objectives and log."""
    before, initial = number * work.config.steps, bar.n  # the live view's axis is over all shards
    if _notes(work, number).exists():
        bar.update(len(rows) * work.config.steps)
        return
    log: list[dict[str, Any]] = []
    checkpoint = Checkpoint(work.scratch.path(f"{number:05}.part.safetensors"), log)

    def record(report: Report) -> None:
        log.append(entry(report))
        values = _values(work, log[-1])
        bar.update(initial + len(rows) * report.step - bar.n)
        bar.set_postfix(objective=f"{values['objective']:.4g}", refresh=False)
        work.watch(before + report.step, values, _sheet(work, report))

    outcome = optimise(_problem(work, rows), work.config, record, checkpoint=checkpoint)
    bar.update(initial + len(rows) * work.config.steps - bar.n)
    for fault in outcome.faults:
        tqdm.write(f"{work.name}, shard {number}: {fault}: keeping its best earlier image", file=sys.stderr)
    objective = outcome.objective.cpu().double().tolist()
    chosen = outcome.path.numpy()[[row.selected for row in _rows(work, rows, objective)]]
    write_array(work.scratch.path(f"{number:05}.npy"), to_uint8(outcome.images))
    write_array(work.scratch.path(f"{number:05}{KEPT}"), chosen[: max(0, FOLLOWED - number * work.width)])
    write_json(_notes(work, number), {"objective": objective, "log": log})
    checkpoint.path.unlink(missing_ok=True)


def _values(work: Work, entry: Mapping[str, Any]) -> dict[str, float]:
    """Every term unweighted and, as `scaled/<term>`, weighted."""
    found = means(entry)
    return found | {f"scaled/{term.name}": term.weight * found[term.name] for term in work.objective.terms}


def _sheet(work: Work, report: Report) -> np.ndarray | None:
    """The images of this step in a row, if it is due for the live view."""
    if not work.frames or report.step % work.frames:
        return None
    return grid(to_uint8(report.images[:SHOWN])[None])


def _problem(work: Work, rows: list[int]) -> Problem:
    """Restarts of an image are adjacent: row * restarts + restart."""
    config, provider, restarts = work.config, work.provider, work.config.restarts
    ids = [(name, restart) for name in provider.dataset.ids(rows) for restart in range(restarts)]
    taps = dict(work.objective.targets)
    fitted, _ = work.guide
    if fitted is not None or work.initial_image is not None:
        taps[config.network] = tuple(dict.fromkeys([*taps.get(config.network, ()), *config.taps]))
    features = provider.features(rows, taps)
    targets = repeated(features, restarts)
    return problem(
        config,
        work.run,
        work.objective,
        provider.networks,
        features,
        provider.dataset.ids(rows),
        size=provider.dataset.size,
        device=provider.device,
        learned=fitted,
        base=lambda guide: _base(work, ids, guide),
        references=provider.references(rows, work.reference, work.objective.references),
        originals=provider.originals(rows, work.objective),
        space=work.space if work.initial_image is None else work.initial_image(targets),
        bounded=True if work.initial_image is not None else None,  # if the inversion starts in a latent space
    )


def _base(work: Work, ids: Sequence[tuple[str, int]], guide: Tensor | None) -> Tensor | None:
    """Initial images, (N or 1, 3, h, h); None: grey."""
    if work.start is None:
        return guide if work.config.init.base == "guide" else None
    found = {row["id"]: position for position, row in enumerate(work.start.index) if row["selected"] == "true"}
    missing = [name for name, _ in ids if name not in found]
    if missing:
        raise UserError(f"{work.start.folder} has no image for {', '.join(missing[:5])}: it cannot be the start of {work.name}")
    return to_float(work.start.images[[found[name] for name, _ in ids]])


def _rows(work: Work, rows: list[int], objective: Sequence[float]) -> list[Row]:
    config, dataset = work.config, work.provider.dataset
    values = np.reshape(objective, (len(rows), config.restarts))
    chosen = values.argmin(1)
    same: dict[str, Any] = {"method": work.name, "family": work.family, "task": "feature", "oracle": work.oracle}
    same |= {"dataset": dataset.name, "size": dataset.size, "network": config.network, "tap": "+".join(config.taps)}
    return [
        Row(**same, id=id, restart=restart, selected=bool(restart == chosen[at]), objective=float(values[at, restart]))
        for at, id in enumerate(dataset.ids(rows))
        for restart in range(config.restarts)
    ]
