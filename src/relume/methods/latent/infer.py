"""Inverts a group with one generator: its mean image, the mapper's images, and inversions by optimisation of latents."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relume.core.files import Scratch
from relume.core.images import resize, to_uint8
from relume.core.results import Descent, Group, Row, new_images
from relume.core.run import Run
from relume.data.store import Dataset
from relume.losses.objective import Activations
from relume.methods.gan.generator import Generator
from relume.methods.latent.config import InvertLatent, base, follows, method
from relume.methods.latent.model import TrainedMapper
from relume.methods.latent.space import spaces
from relume.methods.optimise.config import InversionConfig, InvertOptimise, Latent
from relume.methods.optimise.infer import Result, Watch, Work, compute, join, row_count, work
from relume.methods.optimise.parametrise import Spaces
from relume.methods.optimise.path import followed, together
from relume.networks.network import load
from relume.networks.taps import collect
from relume.networks.weights import WeightStore

Part = tuple[list[Row], list[dict[str, Any]], list[dict[str, Any]]]  # index, trace, timing of a method


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


def invert_all(studio: Studio, group: InvertLatent, path: str, folder: Path | None = None) -> Result:
    """The baseline, the mapper, then the methods in the order of the parameters. `folder`: of the group."""
    shared, methods = base(group, path), {name: method(group, name, path) for name in group.methods}
    dataset = studio.dataset
    one = len(dataset.chosen(shared))
    sizes = [one, one if studio.mapper else 0, *(row_count(dataset, way) for way in methods.values())]
    images = new_images(folder, sum(sizes), dataset.size)
    floor, mapped, *others = np.split(images, np.cumsum(sizes)[:-1])
    parts = [mean_picture(studio, shared, group.floor, floor)]
    if studio.mapper:
        parts.append(one_pass(studio, shared, studio.mapper, mapped))
    for (name, way), own in zip(methods.items(), others, strict=True):
        prepared = latent_work(studio, name, way)
        if not isinstance(way.parametrisation, Latent):
            prepared = replace(prepared, start=_start(mapped, parts[1][0]))
        compute(prepared)
        parts.append(join(prepared, own))
    rows, trace, timing = zip(*parts, strict=True)
    return images, sum(rows, []), sum(trace, []), sum(timing, [])


def follow(studio: Studio, group: InvertLatent, path: str) -> Descent | None:
    """The paths of all methods, after `invert_all`."""
    ways = {name: method(group, name, path) for name in group.methods}
    ids = {name: studio.dataset.ids(studio.dataset.chosen(way)) for name, way in ways.items()}
    return together([followed(name, ids[name], way.steps, Scratch(studio.scratch / name)) for name, way in ways.items()])


def latent_work(studio: Studio, name: str, way: InversionConfig) -> Work:
    """The inputs of the optimisation; in another space than the generator's, it starts from the mapper's images."""
    prepared = work(
        name=name,
        config=way,
        run=studio.run,
        dataset=studio.dataset,
        store=studio.store,
        device=studio.device,
        scratch=Scratch(studio.scratch / name),
        watch=lambda step, values, sheet: studio.watch(step, {f"{name}/{key}": value for key, value in values.items()}, sheet),
        frames=studio.frames,
    )
    if not isinstance(way.parametrisation, Latent):
        return prepared
    if follows(way):
        return replace(prepared, initial_image=partial(_mapped_spaces, studio, way))
    return replace(prepared, space=spaces(studio.generator))


def _start(images: np.ndarray, rows: Sequence[Row]) -> Group:
    index = [{"id": row.id, "method": row.method, "selected": "true", "oracle": "false"} for row in rows]
    return Group(name=rows[0].method, images=images, index=index, folder=Path())


def _mapped_spaces(studio: Studio, way: InversionConfig, targets: Activations) -> Spaces:
    """Spaces that start from the mapper's latents."""
    assert studio.mapper is not None  # checked before
    assert isinstance(way.parametrisation, Latent)
    found = studio.mapper.latents(dict(targets[way.network]))
    if studio.mapper.space == "z" and way.parametrisation.space != "z":
        found = studio.generator.map(found)
    return spaces(studio.generator, found)


@torch.no_grad()
def mean_picture(studio: Studio, where: InvertOptimise, name: str, images: np.ndarray) -> Part:
    """The generator's image of its mean w, for every target."""
    ids = studio.dataset.ids(studio.dataset.chosen(where))
    picture = resize(studio.generator.synthesise(studio.generator.running_mean[None]), studio.dataset.size)
    images[:] = to_uint8(picture)
    return [Row(method=name, family="floor", task="feature", oracle=False, id=id, **_sized(studio)) for id in ids], [], []


@torch.no_grad()
def one_pass(studio: Studio, where: InvertOptimise, mapper: TrainedMapper, images: np.ndarray) -> Part:
    """The generator's images of the mapper's latents."""
    network, dataset = load(mapper.network, studio.store, studio.device), studio.dataset
    numbers, step = dataset.chosen(where), studio.run.micro_batch
    seconds = 0.0
    for at in range(0, len(numbers), step):
        batch = numbers[at : at + step]
        with collect(network, mapper.taps) as tapped:
            features = tapped(dataset.pixels(batch).to(studio.device))
        started = time.perf_counter()
        images[at : at + len(batch)] = to_uint8(painted(studio, mapper, features))
        seconds += time.perf_counter() - started
    about = {"network": mapper.network, "tap": "+".join(mapper.taps), **_sized(studio)}
    rows = [Row(method=mapper.name, family="latent", task="feature", oracle=False, id=id, **about) for id in dataset.ids(numbers)]
    return rows, [], [{"method": mapper.name, "step": 0, "seconds": seconds}]


def painted(studio: Studio, mapper: TrainedMapper, features: Mapping[str, Tensor]) -> Tensor:
    """Features -> images (N, 3, size, size) of the dataset's size."""
    return resize(studio.generator.paint_latents(mapper.space, mapper.latents(features)), studio.dataset.size)


def _sized(studio: Studio) -> dict[str, Any]:
    return {"dataset": studio.dataset.name, "size": studio.dataset.size}
