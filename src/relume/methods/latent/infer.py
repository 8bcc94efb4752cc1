"""Inverts a group with one generator: its mean image, the mapper's images, and inversions by optimisation of latents."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.core.files import Scratch
from relume.core.images import resize, to_uint8
from relume.core.results import Descent, Group, Row
from relume.core.run import Run
from relume.data.store import Dataset, batches
from relume.losses.objective import Activations
from relume.methods.gan.generator import Generator
from relume.methods.latent.config import InvertLatent, Method, base, method
from relume.methods.latent.model import TrainedMapper
from relume.methods.latent.space import spaces
from relume.methods.optimise.config import InvertOptimise, Latent
from relume.methods.optimise.infer import Watch, Work, invert, work
from relume.methods.optimise.parametrise import Spaces
from relume.methods.optimise.path import followed, together
from relume.networks.network import load
from relume.networks.taps import collect
from relume.networks.weights import WeightStore

Result = tuple[np.ndarray, list[Row], list[dict[str, Any]], list[dict[str, Any]]]  # images, index, trace, timing


@dataclass(frozen=True, kw_only=True)
class Studio:
    """Inputs that all methods of a group share."""

    run: Run
    dataset: Dataset
    store: WeightStore
    device: torch.device
    scratch: Path  # with a folder per method
    generator: Generator  # frozen
    mapper: TrainedMapper | None
    watch: Watch = lambda step, values, sheet: None
    frames: int = 0  # steps between sheets for `watch`; 0: no sheets


def invert_all(studio: Studio, group: InvertLatent, path: str) -> Result:
    """The baseline, the mapper, then the methods in the order of the parameters."""
    shared, methods = base(group, path), {name: method(group, name, path) for name in group.methods}
    if studio.dataset.name != shared.dataset:
        raise UserError(f"{path}: needs images of {shared.dataset}, but --images holds {studio.dataset.name}")
    floor = mean_picture(studio, shared, group.floor)
    mapped = [one_pass(studio, shared, studio.mapper)] if studio.mapper else []
    return joined([floor, *mapped, *(invert(latent_work(studio, name, way, mapped)) for name, way in methods.items())])


def follow(studio: Studio, group: InvertLatent, path: str) -> Descent | None:
    """The paths of all methods, after `invert_all`."""
    ways = {name: method(group, name, path).inversion for name in group.methods}
    ids = {name: studio.dataset.ids(studio.dataset.select(way.split, way.count)) for name, way in ways.items()}
    return together([followed(name, ids[name], way.steps, Scratch(studio.scratch / name)) for name, way in ways.items()])


def latent_work(studio: Studio, name: str, way: Method, mapped: Sequence[Result] = ()) -> Work:
    """The inputs of the optimisation, in the generator's space, or in another space from the mapper's images."""
    prepared = work(
        name=name,
        config=way.inversion,
        run=studio.run,
        dataset=studio.dataset,
        store=studio.store,
        device=studio.device,
        scratch=Scratch(studio.scratch / name),
        watch=lambda step, values, sheet: studio.watch(step, {f"{name}/{key}": value for key, value in values.items()}, sheet),
        frames=studio.frames,
    )
    if not isinstance(way.space, Latent):
        ((pictures, rows, *_),) = mapped
        index = [{"id": row.id, "method": row.method, "selected": "true", "oracle": "false"} for row in rows]
        return replace(prepared, start=Group(name=rows[0].method, images=pictures, index=index, folder=studio.scratch))
    if way.follows:
        return replace(prepared, initial_image=partial(_mapped_spaces, studio, way))
    return replace(prepared, space=spaces(studio.generator))


def _mapped_spaces(studio: Studio, way: Method, targets: Activations) -> Spaces:
    """Spaces that start from the mapper's latents."""
    assert studio.mapper is not None  # checked before
    assert isinstance(way.space, Latent)
    found = studio.mapper.latents(dict(targets[way.inversion.network]))
    if studio.mapper.space == "z" and way.space.space != "z":
        found = studio.generator.map(found)
    return spaces(studio.generator, found)


@torch.no_grad()
def mean_picture(studio: Studio, where: InvertOptimise, name: str) -> Result:
    """The generator's image of its mean w, for every target."""
    ids = studio.dataset.ids(studio.dataset.select(where.split, where.count))
    picture = resize(studio.generator.synthesise(studio.generator.running_mean[None]), studio.dataset.size)
    rows = [Row(method=name, family="floor", task="feature", oracle=False, id=id, **_sized(studio)) for id in ids]
    return to_uint8(picture).repeat(len(ids), 0), rows, [], []


@torch.no_grad()
def one_pass(studio: Studio, where: InvertOptimise, mapper: TrainedMapper) -> Result:
    """The generator's images of the mapper's latents."""
    network, dataset = load(mapper.network, studio.store, studio.device), studio.dataset
    numbers = dataset.select(where.split, where.count)
    images, seconds = [], 0.0
    for batch in batches(numbers, studio.run.micro_batch):
        with collect(network, mapper.taps) as tapped:
            features = tapped(dataset.pixels(batch).to(studio.device))
        started = time.perf_counter()
        images.append(to_uint8(painted(studio, mapper, features)))
        seconds += time.perf_counter() - started
    about = {"network": mapper.network, "tap": "+".join(mapper.taps), **_sized(studio)}
    rows = [Row(method=mapper.name, family="latent", task="feature", oracle=False, id=id, **about) for id in dataset.ids(numbers)]
    return np.concatenate(images), rows, [], [{"method": mapper.name, "step": 0, "seconds": seconds}]


def painted(studio: Studio, mapper: TrainedMapper, features: Mapping[str, Tensor]) -> Tensor:
    """Features -> images (N, 3, size, size) of the dataset's size."""
    found = mapper.latents(features)
    w = studio.generator.map(found) if mapper.space == "z" else found
    return resize(studio.generator.synthesise(w), studio.dataset.size)


def _sized(studio: Studio) -> dict[str, Any]:
    return {"dataset": studio.dataset.name, "size": studio.dataset.size}


def joined(parts: Iterable[Result]) -> Result:
    """Concatenates the results of several methods."""
    images, rows, trace, timing = zip(*parts, strict=True)
    return np.concatenate(images), sum(rows, []), sum(trace, []), sum(timing, [])
