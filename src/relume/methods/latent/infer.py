"""A group of inversions with one generator: its mean picture, a mapper's one pass, and every method that moves a latent."""

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
from relume.data.store import Dataset
from relume.losses.objective import Activations
from relume.methods.gan.generator import Generator
from relume.methods.latent.config import InvertLatent, Method, base, method
from relume.methods.latent.space import spaces
from relume.methods.latent.trained import TrainedMapper
from relume.methods.optimise.config import InvertOptimise, Latent
from relume.methods.optimise.infer import Watch, Work, invert, work
from relume.methods.optimise.parametrise import Spaces
from relume.methods.optimise.path import followed, together
from relume.networks.network import load
from relume.networks.taps import collect
from relume.networks.weights import WeightStore

Result = tuple[np.ndarray, list[Row], list[dict[str, Any]], list[dict[str, Any]]]  # pictures, index, trace, timing


@dataclass(frozen=True, kw_only=True)
class Studio:
    """What all methods of a group share."""

    run: Run
    dataset: Dataset
    store: WeightStore
    device: torch.device
    scratch: Path  # a folder below it for each method
    generator: Generator  # frozen
    mapper: TrainedMapper | None
    watch: Watch = lambda step, values, sheet: None
    frames: int = 0  # steps between sheets for it; 0: none


def invert_all(studio: Studio, group: InvertLatent, path: str) -> Result:
    """The baseline, the mapper, then methods in the order of the parameters; all is checked before any of it."""
    where, methods = base(group, path), {name: method(group, name, path) for name in group.methods}
    _check(studio, group, where, methods, path)
    floor = mean_picture(studio, where, group.floor)
    mapped = [one_pass(studio, where, studio.mapper)] if studio.mapper else []
    return joined([floor, *mapped, *(invert(latent_work(studio, name, way, mapped)) for name, way in methods.items())])


def follow(studio: Studio, group: InvertLatent, path: str) -> Descent | None:
    """How all methods went to their pictures, once `invert_all` is done."""
    ways = {name: method(group, name, path).inversion for name in group.methods}
    ids = {name: studio.dataset.ids(studio.dataset.select(way.split, way.count)) for name, way in ways.items()}
    return together([followed(name, ids[name], way.steps, Scratch(studio.scratch / name)) for name, way in ways.items()])


def _check(studio: Studio, group: InvertLatent, where: InvertOptimise, methods: Mapping[str, Method], path: str) -> None:
    mapper, dataset = studio.mapper, studio.dataset
    if dataset.name != where.dataset:
        raise UserError(f"features of {where.dataset} are wanted, but --images holds {dataset.name}")
    if mapper is not None and (mapper.generator, mapper.network) != (group.generator, where.network):
        raise UserError(
            f"{path}.mapper: {mapper.name} maps {mapper.network} to {mapper.generator}, "
            f"not {where.network} to {group.generator}: train it again or name another"
        )
    for name, way in methods.items():
        if way.follows and mapper is None:
            raise UserError(f"{path}.methods.{name}.parametrisation: it begins where a mapper says, and the group has none")


def latent_work(studio: Studio, name: str, way: Method, mapped: Sequence[Result] = ()) -> Work:
    """The method as work for the loop, in the generator's space; in another, from what the mapper has made."""
    made = work(
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
        (initial_image,) = mapped
        return replace(made, start=_group(studio, initial_image))
    if way.follows:
        return replace(made, initial_image=partial(_begun, studio, way))
    return replace(made, space=spaces(studio.generator))


def _group(studio: Studio, made: Result) -> Group:
    """Pictures to begin with, as those of an earlier stage."""
    pictures, rows, *_ = made
    index = [{"id": row.id, "method": row.method, "selected": "true", "oracle": "false"} for row in rows]
    return Group(name=rows[0].method, images=pictures, index=index, folder=studio.scratch)


def _begun(studio: Studio, way: Method, targets: Activations) -> Spaces:
    """Spaces that begin where the mapper says."""
    assert studio.mapper is not None  # checked before
    assert isinstance(way.space, Latent)
    found = studio.mapper.latents(dict(targets[way.inversion.network]))
    if studio.mapper.space == "z" and way.space.space != "z":
        found = studio.generator.map(found)
    return spaces(studio.generator, found)


@torch.no_grad()
def mean_picture(studio: Studio, where: InvertOptimise, name: str) -> Result:
    """What the generator makes of its mean w, for every picture."""
    ids = studio.dataset.ids(studio.dataset.select(where.split, where.count))
    picture = resize(studio.generator.synthesise(studio.generator.running_mean[None]), studio.dataset.size)
    rows = [Row(method=name, family="floor", task="feature", oracle=False, id=id, **_sized(studio)) for id in ids]
    return to_uint8(picture).repeat(len(ids), 0), rows, [], []


@torch.no_grad()
def one_pass(studio: Studio, where: InvertOptimise, mapper: TrainedMapper) -> Result:
    """The mapper's latents of all pictures' features, painted."""
    network, dataset = load(mapper.network, studio.store, studio.device), studio.dataset
    numbers, step = dataset.select(where.split, where.count), studio.run.micro_batch
    images, seconds = [], 0.0
    for batch in (numbers[at : at + step] for at in range(0, len(numbers), step)):
        with collect(network, mapper.taps) as tapped:
            features = tapped(dataset.pixels(batch).to(studio.device))
        started = time.perf_counter()
        images.append(to_uint8(painted(studio, mapper, features)))
        seconds += time.perf_counter() - started
    about = {"network": mapper.network, "tap": "+".join(mapper.taps), **_sized(studio)}
    rows = [Row(method=mapper.name, family="latent", task="feature", oracle=False, id=id, **about) for id in dataset.ids(numbers)]
    return np.concatenate(images), rows, [], [{"method": mapper.name, "step": 0, "seconds": seconds}]


def painted(studio: Studio, mapper: TrainedMapper, features: Mapping[str, Tensor]) -> Tensor:
    """(N, 3, size, size), of the data's size."""
    found = mapper.latents(features)
    w = studio.generator.map(found) if mapper.space == "z" else found
    return resize(studio.generator.synthesise(w), studio.dataset.size)


def _sized(studio: Studio) -> dict[str, Any]:
    return {"dataset": studio.dataset.name, "size": studio.dataset.size}


def joined(parts: Iterable[Result]) -> Result:
    """One group of several methods."""
    images, rows, trace, timing = zip(*parts, strict=True)
    return np.concatenate(images), sum(rows, []), sum(trace, []), sum(timing, [])
