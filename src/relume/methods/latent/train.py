"""Training a mapper: a frozen network looks at pictures, the mapper names a latent, a frozen generator paints it.

Latents are learned from pictures that the generator made, for which they are known; pixels and features from true pictures.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.core.images import grid, resize, to_uint8
from relume.core.run import Run
from relume.core.runtime import generator, seed_of
from relume.data.store import Dataset
from relume.losses import feature, image
from relume.methods.gan.generator import Generator
from relume.methods.gan.trained import TrainedGan
from relume.methods.latent.config import MapperConfig
from relume.methods.latent.model import Mapper, build
from relume.networks.network import Network, load
from relume.networks.weights import WeightStore
from relume.training.augment import augment
from relume.training.loop import LOSS, Task
from relume.training.terms import look

SHOWN = 8  # pictures on a sheet
DRAWN = 64  # latents over which their variance is taken

Seen = dict[str, Tensor]  # tap -> features


@dataclass(frozen=True, kw_only=True)
class MapperLesson:
    """Everything that a mapper is trained with, and the mapper. Rows are numbers of the dataset."""

    name: str
    config: MapperConfig
    run: Run
    dataset: Dataset
    device: torch.device
    network: Network
    painter: Generator  # frozen
    scale: float  # the variance of its latents
    train: list[int]
    val: list[int]
    shapes: dict[str, tuple[int, ...]]
    mapper: Mapper

    def task(self) -> Task:
        return Task(
            name=self.name,
            module=self.mapper,
            device=self.device,
            count=len(self.train),
            loss=partial(loss, self),
            validate=partial(validate, self),
            look=partial(progress, self),
        )

    def pictures(self, rows: Sequence[int]) -> Tensor:
        return self.dataset.pixels(list(rows)).to(self.device)

    def batches(self, rows: Sequence[int]) -> Iterator[Tensor]:
        step = self.run.micro_batch
        return (self.pictures(rows[at : at + step]) for at in range(0, len(rows), step))

    def see(self, pictures: Tensor) -> Seen:
        return look({self.config.network: self.network}, pictures, {self.config.network: self.config.taps})[self.config.network]

    def paint(self, latent: Tensor) -> Tensor:
        """Pictures of the dataset's size, whatever the generator's."""
        painted = self.painter(latent) if self.config.space == "z" else self.painter.synthesise(latent)
        return resize(painted, self.dataset.size)

    def draw(self, generators: Sequence[torch.Generator]) -> Tensor:
        """Latents as the generator draws them, in the mapper's space."""
        z = self.painter.draw(generators)
        return z if self.config.space == "z" else shaped(self.painter, self.painter.map(z), self.config.space)


def mapper_lesson(
    *,
    name: str,
    config: MapperConfig,
    run: Run,
    dataset: Dataset,
    store: WeightStore,
    trained: TrainedGan,
    device: torch.device,
) -> MapperLesson:
    """The network loaded, the mapper built to the features' and the latents' shapes, its weights drawn from seed and name."""
    painter = trained.generator
    if dataset.name != config.dataset:
        raise UserError(f"mapper {name} is to learn from {config.dataset}, but --images holds {dataset.name}")
    network, train = load(config.network, store, device), dataset.select("train")
    first = dataset.pixels(train[:1]).to(device)
    seen = look({config.network: network}, first, {config.network: config.taps})[config.network]
    shapes = {tap: tuple(value.shape[1:]) for tap, value in seen.items()}
    centre = mean_latent(painter, config.space)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(run.seed, "mapper", name))
        made = build(shapes, centre.cpu(), config.architecture)
    return MapperLesson(
        name=name,
        config=config,
        run=run,
        dataset=dataset,
        device=device,
        network=network,
        painter=painter,
        scale=variance(painter, config.space, run.seed),
        train=train,
        val=dataset.select("val", config.validation),
        shapes=shapes,
        mapper=made.to(device),
    )


def shaped(painter: Generator, w: Tensor, space: str) -> Tensor:
    """w, or w+ with all layers alike."""
    return painter.spread(w) if space == "w_plus" else w


def mean_latent(painter: Generator, space: str) -> Tensor:
    """The mean w in the space's shape; 0 of z."""
    mean = painter.running_mean
    return mean.new_zeros(painter.latent) if space == "z" else shaped(painter, mean[None], space)[0]


@torch.no_grad()
def variance(painter: Generator, space: str, seed: int) -> float:
    """Of the latents' numbers, each around its own mean: 1 of z."""
    if space == "z":
        return 1.0
    w = painter.map(painter.draw([generator(seed, "variance", number) for number in range(DRAWN)]))
    return float(w.var(0).mean().clamp_min(1e-12))


def loss(lesson: MapperLesson, rows: list[int], generators: Sequence[torch.Generator]) -> dict[str, Tensor]:
    """Means over a batch of training pictures, which are augmented first, and over as many drawn ones."""
    images = augment(lesson.pictures([lesson.train[row] for row in rows]), lesson.config.augment, generators)
    found = measure(lesson, images, generators)
    return {name: value.mean() for name, value in found.items()}


def measure(lesson: MapperLesson, images: Tensor, generators: Sequence[torch.Generator]) -> dict[str, Tensor]:
    """Every term of weight, and their weighted sum: (N,)."""
    weights, found = asdict(lesson.config.losses), {}
    if weights["latent"] > 0:
        found["latent"] = latent_error(lesson, generators)
    if weights["pixel"] > 0 or weights["feature"] > 0:
        with torch.autocast(images.device.type, enabled=False), torch.no_grad():
            seen = lesson.see(images)
        painted = lesson.paint(lesson.mapper(seen))
        if weights["pixel"] > 0:
            found["pixel"] = image.pixel(painted, images)
        if weights["feature"] > 0:
            found["feature"] = feature.weighted("relative_l2", lesson.see(painted), seen, dict.fromkeys(lesson.config.taps, 1.0))
    total = torch.stack([weights[name] * value for name, value in found.items()]).sum(0)
    return {LOSS: total, **found}


def latent_error(lesson: MapperLesson, generators: Sequence[torch.Generator]) -> Tensor:
    """|found - true|^2 of drawn pictures, a mean over the latent's numbers in units of their variance: (N,)."""
    with torch.autocast(lesson.device.type, enabled=False), torch.no_grad():
        true = lesson.draw(generators)
        seen = lesson.see(lesson.paint(true))
    return (lesson.mapper(seen) - true).square().flatten(1).mean(1) / lesson.scale


@torch.no_grad()
def validate(lesson: MapperLesson) -> dict[str, float]:
    """Means over the validation pictures, untouched, and fixed draws: terms, PSNR in dB, and what two floors reach."""
    found: list[dict[str, Tensor]] = []
    typical, at = lesson.paint(mean_latent(lesson.painter, lesson.config.space)[None]), 0
    for images in lesson.batches(lesson.val):
        draws = [generator(lesson.run.seed, "validation", at + number) for number in range(len(images))]
        painted = lesson.paint(lesson.mapper(lesson.see(images)))
        floors = {"floor_own_mean": images.mean((2, 3), keepdim=True), "floor_mean_latent": typical}
        reached = {name: psnr(floor.expand_as(images), images) for name, floor in floors.items()}
        found.append({**measure(lesson, images, draws), "psnr": psnr(painted, images), **reached})
        at += len(images)
    return {name: float(torch.cat([values[name] for values in found]).cpu().double().mean()) for name in found[0]}


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """In dB, per picture, data range 1; at most 100."""
    return -10 * image.pixel(x, y).clamp_min(1e-10).log10()


@torch.no_grad()
def progress(lesson: MapperLesson) -> np.ndarray:
    """Validation pictures over what one pass makes of them: uint8 (2, K, H, W, 3)."""
    parts = [(images, lesson.paint(lesson.mapper(lesson.see(images)))) for images in lesson.batches(lesson.val[:SHOWN])]
    return np.stack([to_uint8(torch.cat(side)) for side in zip(*parts, strict=True)])


def sheet(lesson: MapperLesson) -> np.ndarray:
    """The same as one picture, uint8 (H, W, 3)."""
    return grid(progress(lesson))


def card(lesson: MapperLesson) -> dict[str, Any]:
    """What a mapper's `model.json` says, beside how its training went and where."""
    return {
        "kind": "mapper",
        "name": lesson.name,
        "config": asdict(lesson.config),
        "shapes": {tap: list(shape) for tap, shape in lesson.shapes.items()},
        "latent": list(mean_latent(lesson.painter, lesson.config.space).shape),
        "size": lesson.dataset.size,
        "data": {"dataset": lesson.dataset.name, "train": len(lesson.train), "val": len(lesson.val)},
        "parameters": sum(weights.numel() for weights in lesson.mapper.parameters()),
    }
