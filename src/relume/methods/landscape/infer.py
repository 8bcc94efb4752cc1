"""GAN inversion with and without a learned landscape (Liu et al. 2022). The target is the image; the result is the best state."""

import importlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.core.files import Scratch, atomic
from relume.core.images import resize, to_uint8
from relume.core.results import Descent, Row, new_images
from relume.core.run import Run
from relume.core.runtime import generator
from relume.data.store import Dataset
from relume.methods.gan.generator import Generator
from relume.methods.gan.model import TrainedGan
from relume.methods.landscape.config import InvertLandscape, Way
from relume.methods.landscape.likeness import Likeness
from relume.methods.landscape.model import Landscape
from relume.methods.landscape.trained import TrainedLandscape, read_landscape
from relume.methods.landscape.trajectories import See, descend, loss_gradient
from relume.methods.latent.model import TrainedMapper, read_mapper
from relume.methods.optimise.path import FOLLOWED, moments, together, walked
from relume.networks.network import load
from relume.networks.taps import compute
from relume.networks.weights import WeightStore
from relume.training.trainer import LOSS

INVERSE: dict[str, Any] = {"steps": 100, "rate": 0.05, "betas": (0.9, 0.999)}  # of `inverse`

Mapper = Callable[[Tensor], Tensor]  # images (N, 3, size, size) of the dataset -> latents (N, ...)


@dataclass(frozen=True, kw_only=True)
class Descents:
    """One method with one seed. `values`: per image and step; `seconds`: since the start."""

    images: np.ndarray  # uint8 (N, H, W, 3)
    path: np.ndarray  # uint8 (first images, moments, H, W, 3): the best so far
    values: dict[str, np.ndarray]  # LOSS and its terms: (N, steps + 1)
    seconds: np.ndarray  # (steps + 1,)

    @property
    def best(self) -> np.ndarray:
        """The lowest loss so far: (N, steps + 1)."""
        return np.minimum.accumulate(self.values[LOSS], axis=1)


@dataclass(frozen=True, kw_only=True)
class Search:
    """Inputs that all descents of a group share."""

    dataset: Dataset
    painter: Generator  # frozen
    landscape: TrainedLandscape
    likeness: Likeness
    mapper: Mapper | None
    device: torch.device
    seed: int
    micro_batch: int

    @property
    def theta(self) -> Landscape:
        return self.landscape.module

    def paint(self, latents: Tensor) -> Tensor:
        return self.painter.paint_latents(self.landscape.config.space, latents)


def search(
    *,
    dataset: Dataset,
    store: WeightStore,
    trained: TrainedGan,
    landscape: Path,
    mapper: Path | None,
    device: torch.device,
    run: Run,
) -> Search:
    """Reads the landscape, the mapper and the networks of the loss."""
    found = read_landscape(landscape, trained, device)
    return Search(
        dataset=dataset,
        painter=trained.generator,
        landscape=found,
        likeness=Likeness(found.config, store, device),
        mapper=None if mapper is None else mapping(read_mapper(mapper, device), store, device),
        device=device,
        seed=run.seed,
        micro_batch=run.micro_batch,
    )


def mapping(mapper: TrainedMapper, store: WeightStore, device: torch.device) -> Mapper:
    """The mapper as a function of images, by its network's features."""
    network, name = load(mapper.network, store, device), mapper.network
    return lambda pictures: mapper.latents(compute({name: network}, pictures, {name: mapper.taps})[name])


def plan(config: InvertLandscape) -> list[tuple[str, Way, int]]:
    """Methods and seeds. Methods that start from the mean or the mapper are deterministic, so they use one seed."""
    pairs = product(config.methods.items(), config.seeds)
    return [(name, way, seed) for (name, way), seed in pairs if way.start == "noise" or seed == config.seeds[0]]


def invert(
    search: Search,
    config: InvertLandscape,
    rows: Sequence[int],
    scratch: Scratch | None = None,
    images: np.ndarray | None = None,
) -> dict[tuple[str, int], Descents]:
    """By method and seed. `images`, of the group, is filled in the order of `plan`. A micro-batch is a shard; finished shards are
    saved in `scratch`, and may run in jobs."""
    wanted, width = plan(config), search.micro_batch
    if images is None:
        images = new_images(None, len(wanted) * len(rows), search.dataset.size)
    first = search.dataset.pixels(list(rows[:width])).to(search.device)
    state = torch.zeros(len(first), search.theta.centre.numel(), device=search.device)
    loss_gradient(_loss_of(search, search.theta, first), state)  # a warm-up: the first step of a process is slower
    shards = [(*one, at) for one in wanted for at in range(0, len(rows), width)]
    if scratch:
        launch = importlib.import_module("relume.launch")  # by name: where shards run changes no result
        launch.run(
            scratch.folder,
            range(len(shards)),
            lambda number: _file(scratch, *shards[number]).exists(),
            lambda number: _shard(search, rows, scratch, *shards[number]),
        )
    found = {}
    for (name, way, seed), own in zip(wanted, np.split(images, len(wanted)), strict=True):
        parts = (_shard(search, rows, scratch, name, way, seed, at) for at in range(0, len(rows), width))
        found[name, seed] = _joined(parts, own)
    return found


def _loss_of(search: Search, through: Callable[[Tensor], Tensor], pictures: Tensor) -> See:
    """The loss of states for these target images."""
    target = search.likeness.target(resize(pictures, search.painter.size))
    return lambda z: search.likeness(search.paint(through(z)), target)


def _file(scratch: Scratch, name: str, way: Way, seed: int, at: int) -> Path:
    return scratch.path(f"{name}-{seed}-{at:05}.npz")


def _shard(search: Search, rows: Sequence[int], scratch: Scratch | None, name: str, way: Way, seed: int, at: int) -> Descents:
    path = scratch and _file(scratch, name, way, seed, at)
    if path and path.exists():
        with np.load(path, allow_pickle=False) as saved:
            own = {key.removeprefix("value."): saved[key] for key in saved.files if key.startswith("value.")}
            return Descents(images=saved["images"], path=saved["path"], values=own, seconds=saved["seconds"])
    found = descents(search, way, seed, rows[at : at + search.micro_batch], followed=max(0, FOLLOWED - at))
    if path:
        with atomic(path) as temporary, temporary.open("wb") as file:
            values = {f"value.{term}": value for term, value in found.values.items()}
            np.savez(file, images=found.images, path=found.path, seconds=found.seconds, **values)  # type: ignore[arg-type]
    return found


def _joined(shards: Iterable[Descents], images: np.ndarray) -> Descents:
    """Shards run one after the other, so their seconds add up."""
    parts, at = list[Descents](), 0
    for shard in shards:
        own = images[at : at + len(shard.images)]
        own[:] = shard.images
        parts.append(replace(shard, images=own))
        at += len(own)
    return Descents(
        images=images,
        path=np.concatenate([part.path for part in parts if len(part.path)]),
        values={name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values},
        seconds=np.sum([part.seconds for part in parts], axis=0),
    )


def descents(search: Search, way: Way, seed: int, rows: Sequence[int], *, followed: int = 0) -> Descents:
    """One descent per image, in a batch. `followed`: number of images whose path is saved."""
    started = time.perf_counter()
    given = search.dataset.pixels(list(rows)).to(search.device)
    through = search.theta if way.theta else search.theta.latents
    see = _loss_of(search, through, given)
    z = _initial(search, way, seed, rows, given)
    best, lowest = z, torch.full((len(rows),), torch.inf, device=search.device)
    passed: list[Tensor] = []
    noted: list[dict[str, np.ndarray]] = []
    seconds: list[float] = []
    for moment in descend(see, z, steps=way.steps, rate=way.learning_rate, betas=way.betas):
        better = moment.terms[LOSS] < lowest
        best, lowest = torch.where(better[:, None], moment.z, best), torch.where(better, moment.terms[LOSS], lowest)
        noted.append({name: value.cpu().double().numpy() for name, value in moment.terms.items()})  # synchronises the device
        if not np.isfinite(noted[-1][LOSS]).all():
            raise UserError(f"step {moment.step}: {LOSS} is NaN or Inf: try a smaller learning_rate")
        seconds.append(time.perf_counter() - started)
        if moment.step in moments(way.steps)[:-1]:
            passed.append(best[:followed])
    images = _painted(search, through, best)
    path = np.stack([*(_painted(search, through, z) for z in passed if followed), images[:followed]], axis=1)
    values = {name: np.stack([terms[name] for terms in noted], axis=1) for name in noted[0]}
    return Descents(images=images, path=path, values=values, seconds=np.array(seconds))


@torch.no_grad()
def _painted(search: Search, through: Callable[[Tensor], Tensor], z: Tensor) -> np.ndarray:
    """uint8 (N, H, W, 3), at the dataset's size."""
    return to_uint8(resize(search.paint(through(z)), search.dataset.size))


def _initial(search: Search, way: Way, seed: int, rows: Sequence[int], pictures: Tensor) -> Tensor:
    """Initial states (N, D); for noise and mean they are the same with and without theta."""
    if way.start == "mean":
        return torch.zeros(len(rows), search.theta.centre.numel(), device=search.device)
    if way.start == "noise":
        draws = [generator(search.seed, "landscape", id, seed) for id in search.dataset.ids(list(rows))]
        return search.theta.units(search.painter.drawn(search.landscape.config.space, draws))
    assert search.mapper is not None  # checked with the parameters
    with torch.no_grad():
        units = search.theta.units(search.mapper(pictures))
    return inverse(search.theta, units) if way.theta else units


def inverse(landscape: Landscape, wanted: Tensor) -> Tensor:
    """States z with theta(z) closest to `wanted`, (N, D), by gradient descent from z = wanted, without the generator."""
    best, lowest = landscape.unturned(wanted), torch.full_like(wanted[:, 0], torch.inf)
    for moment in descend(lambda z: {LOSS: (landscape.theta(z) - wanted).square().mean(1)}, best, **INVERSE):
        better = moment.terms[LOSS] < lowest
        best, lowest = torch.where(better[:, None], moment.z, best), torch.where(better, moment.terms[LOSS], lowest)
    return best


def index(found: Mapping[tuple[str, int], Descents], config: InvertLandscape, dataset: Dataset, rows: Sequence[int]) -> list[Row]:
    """Rows, ordered by method and seed. The seed with the lowest loss is selected."""
    lowest = {key: one.best[:, -1] for key, one in found.items()}
    table = list[Row]()
    for name, seed in found:
        candidates = np.stack([values for (other, _), values in lowest.items() if other == name])
        chosen = [key for key in lowest if key[0] == name].index((name, seed)) == candidates.argmin(0)
        family = "landscape" if config.methods[name].theta else "latent"  # no oracle: this task gives the image
        same: dict[str, Any] = {"method": name, "family": family, "task": "image", "oracle": False, "dataset": dataset.name}
        table += [
            Row(**same, id=id, size=dataset.size, restart=config.seeds.index(seed), selected=bool(ours), objective=float(value))
            for id, ours, value in zip(dataset.ids(list(rows)), chosen, lowest[name, seed], strict=True)
        ]
    return table


def follow(found: Mapping[tuple[str, int], Descents], config: InvertLandscape, ids: Sequence[str]) -> Descent | None:
    """The paths of all methods for the first images, each of the selected seed."""
    parts = []
    for name in methods(found):
        paths = np.stack([one.path for one in of(found, name)])  # (seeds, n, moments, H, W, 3)
        chosen = np.stack([one.best[:, -1] for one in of(found, name)]).argmin(0)[: paths.shape[1]]
        parts.append(walked(name, ids, config.methods[name].steps, paths[chosen, np.arange(len(chosen))]))
    return together(parts)


def trace(found: Mapping[tuple[str, int], Descents]) -> list[dict[str, Any]]:
    """Means over images and seeds; `objective` is the loss."""
    names = {LOSS: "objective"}
    return [
        {"method": method, "step": step, "term": names.get(term, term), "value": float(value)}
        for method in methods(found)
        for term in next(iter(found.values())).values
        for step, value in enumerate(np.mean([one.values[term].mean(0) for one in of(found, method)], axis=0))
    ]


def timing(found: Mapping[tuple[str, int], Descents]) -> list[dict[str, Any]]:
    """Sums over images and seeds."""
    return [
        {"method": method, "step": step, "seconds": float(value)}
        for method in methods(found)
        for step, value in enumerate(np.sum([one.seconds for one in of(found, method)], axis=0))
    ]


def methods(found: Mapping[tuple[str, int], Descents]) -> list[str]:
    return list(dict.fromkeys(name for name, _ in found))


def of(found: Mapping[tuple[str, int], Descents], method: str) -> list[Descents]:
    """One per seed."""
    return [one for (name, _), one in found.items() if name == method]
