"""Training a landscape (S1): theta lowers the loss at states of descents that went through earlier selves of it.

Of every step of training, some trajectories take a step through theta as it is, and the states that they reach are remembered;
then theta takes a step on states drawn from all that are remembered. The generator rests.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.core.images import grid, resize, to_uint8
from relume.core.run import Run
from relume.core.runtime import generator, seed_of
from relume.data.store import Dataset
from relume.methods.gan.generator import Generator
from relume.methods.gan.trained import TrainedGan
from relume.methods.landscape.config import LandscapeConfig
from relume.methods.landscape.likeness import Likeness, likeness
from relume.methods.landscape.model import Landscape
from relume.methods.landscape.replay import Learner
from relume.methods.landscape.trajectories import See, descend, slope
from relume.methods.latent.train import mean_latent, psnr, shaped, variance
from relume.networks.weights import WeightStore, canonical, digest
from relume.training.loop import LOSS, Task, below
from relume.training.models import Trained

SHOWN = 6  # pictures on a sheet
SLOPES = 480  # pictures that axes are found by
FAINT = 1e-6  # losses below are taken for this much

Through = Callable[[Tensor], Tensor]  # states -> latents


@dataclass(frozen=True, kw_only=True)
class LandscapeLesson:
    """Everything that a landscape is trained with, and the landscape. Rows are numbers of the dataset."""

    name: str
    config: LandscapeConfig
    run: Run
    dataset: Dataset
    device: torch.device
    painter: Generator  # frozen
    likeness: Likeness
    train: list[int]
    val: list[int]
    learner: Learner

    @property
    def landscape(self) -> Landscape:
        return self.learner.landscape

    def task(self) -> Task:
        return Task(
            name=self.name,
            module=self.learner,
            device=self.device,
            count=len(self.train),
            loss=partial(loss, self),
            validate=partial(validate, self),
            look=partial(progress, self),
        )

    def pictures(self, rows: Sequence[int]) -> Tensor:
        """At the generator's size."""
        return resize(self.dataset.pixels(list(rows)).to(self.device), self.painter.size)

    def paint(self, latents: Tensor) -> Tensor:
        return paint(self.painter, self.config.space, latents)

    def starts(self, generators: Sequence[torch.Generator]) -> Tensor:
        return starts(self.landscape, self.painter, self.config, generators)

    def toward(self, rows: Sequence[int], through: Through) -> See:
        """What states are worth that look for these pictures."""
        target = self.likeness.target(self.pictures(rows))
        return lambda z: self.likeness(self.paint(through(z)), target)

    def seen(self, z: Tensor, numbers: Tensor) -> dict[str, Tensor]:
        """The same, of training pictures by their place in the list of them."""
        return self.toward([self.train[number] for number in numbers.tolist()], self.landscape)(z)

    @cached_property
    def plain(self) -> dict[str, float]:
        """What descents reach without theta."""
        return reached(self, self.landscape.latents)


def landscape_lesson(
    *,
    name: str,
    config: LandscapeConfig,
    run: Run,
    dataset: Dataset,
    store: WeightStore,
    trained: TrainedGan,
    device: torch.device,
) -> LandscapeLesson:
    """The landscape built to the latents' shape, its weights drawn from seed and name; nothing remembered yet."""
    if dataset.name != config.dataset:
        raise UserError(f"landscape {name} is to learn from {config.dataset}, but --images holds {dataset.name}")
    painter = trained.generator
    centre, scale = mean_latent(painter, config.space).cpu(), variance(painter, config.space, run.seed) ** 0.5
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(run.seed, "landscape", name))
        made = Landscape(centre, scale, config.architecture)
    ways = config.descents
    found = LandscapeLesson(
        name=name,
        config=config,
        run=run,
        dataset=dataset,
        device=device,
        painter=painter,
        likeness=likeness(config.loss, store, device),
        train=dataset.select("train"),
        val=dataset.select("val", config.validation),
        learner=Learner(made, walkers=ways.walkers, steps=ways.steps, replay=config.replay).to(device),
    )
    if made.basis is not None:
        made.basis.copy_(axes(slopes(found)))
    return found


@torch.no_grad()
def slopes(lesson: LandscapeLesson) -> Tensor:
    """Of the plain loss of training pictures, at latents between the mean and the generator's own: (N, D)."""
    rows = lesson.train[:SLOPES]
    found = []
    for own in batches(lesson, rows):
        draws = [generator(lesson.run.seed, "slope", row) for row in own]
        begun = drawn(lesson.landscape, lesson.painter, lesson.config.space, draws)
        share = torch.stack([torch.rand((), generator=one) for one in draws]).to(begun)
        found.append(slope(lesson.toward(own, lesson.landscape.latents), share[:, None] * begun)[1])
    return torch.cat(found)


def axes(vectors: Tensor) -> Tensor:
    """Of (N, D) the directions that they vary in independently, as columns, the weakest first: (D, D)."""
    return torch.linalg.eigh((vectors.mT @ vectors).double().cpu()).eigenvectors.to(vectors)


def paint(painter: Generator, space: str, latents: Tensor) -> Tensor:
    return painter(latents) if space == "z" else painter.synthesise(latents)


def starts(landscape: Landscape, painter: Generator, config: LandscapeConfig, generators: Sequence[torch.Generator]) -> Tensor:
    """States to begin a trajectory from, row n drawn by generator n: the generator's own latents, nearer to the mean: (N, D)."""
    return config.descents.start * drawn(landscape, painter, config.space, generators)


@torch.no_grad()
def drawn(landscape: Landscape, painter: Generator, space: str, generators: Sequence[torch.Generator]) -> Tensor:
    """The generator's own latents in units, row n drawn by generator n: (N, D)."""
    z = painter.draw(generators)
    return landscape.units(z if space == "z" else shaped(painter, painter.map(z), space))


def loss(lesson: LandscapeLesson, rows: list[int], generators: Sequence[torch.Generator]) -> dict[str, Tensor]:
    """Means over as many remembered states as there are rows. New trajectories look for the pictures of the first rows."""
    going, ring = lesson.learner.going, lesson.learner.ring
    count = len(going.z)
    going.renew(lesson.starts(generators[:count]), torch.tensor(rows[:count], device=lesson.device))
    going.advance(lesson.seen, lesson.config.descents.learning_rate, lesson.config.descents.betas)
    ring.add(going.z, going.pictures)
    found = lesson.seen(*ring.draw(generators))
    means = {name: value.mean() for name, value in found.items()}
    return means | {LOSS: relative(found[LOSS])} if lesson.config.relative else means


def relative(values: Tensor) -> Tensor:
    """Their mean, (N,) -> (), whose slope counts every state by the share that it loses: late ones are small, and matter."""
    seen = values.detach()
    return (values * seen.mean() / seen.clamp(min=FAINT)).mean()


@torch.no_grad()
def reached(lesson: LandscapeLesson, through: Through) -> dict[str, float]:
    """Means over the validation pictures at the end of descents from fixed starts."""
    found = [ended(lesson, rows, through)[0] for rows in batches(lesson, lesson.val)]
    return {name: float(torch.cat([values[name] for values in found]).cpu().double().mean()) for name in found[0]}


def ended(lesson: LandscapeLesson, rows: Sequence[int], through: Through) -> tuple[dict[str, Tensor], Tensor]:
    """Terms and PSNR where descents end, (N,) each, and the pictures there."""
    begun = lesson.starts([generator(lesson.run.seed, "validation", id) for id in lesson.dataset.ids(list(rows))])
    ways = lesson.config.descents
    *_, last = descend(lesson.toward(rows, through), begun, steps=ways.steps, rate=ways.learning_rate, betas=ways.betas)
    made = lesson.paint(through(last.z))
    return {**last.terms, "psnr": psnr(made, lesson.pictures(rows))}, made


def batches(lesson: LandscapeLesson, rows: Sequence[int]) -> Iterator[Sequence[int]]:
    step = lesson.run.micro_batch
    return (rows[at : at + step] for at in range(0, len(rows), step))


def validate(lesson: LandscapeLesson) -> dict[str, float]:
    """After as many steps as it learns with: the loss, its terms, PSNR; and what is reached without theta."""
    floors = {"loss_plain": lesson.plain[LOSS], "floor_plain": lesson.plain["psnr"]}
    return reached(lesson, lesson.landscape) | floors


@torch.no_grad()
def progress(lesson: LandscapeLesson) -> np.ndarray:
    """Validation pictures over where descents end: uint8 (2, K, H, W, 3)."""
    parts = [(lesson.pictures(rows), ended(lesson, rows, lesson.landscape)[1]) for rows in batches(lesson, lesson.val[:SHOWN])]
    return np.stack([to_uint8(torch.cat(side)) for side in zip(*parts, strict=True)])


def sheet(lesson: LandscapeLesson) -> np.ndarray:
    """The same as one picture, uint8 (H, W, 3)."""
    return grid(progress(lesson))


def kept(trained: Trained) -> Trained:
    """The landscape alone."""
    return replace(trained, best=below("landscape", trained.best), last=below("landscape", trained.last))


def fingerprint(painter: Generator) -> str:
    """By which a generator is known again."""
    return digest(canonical({name: value.cpu() for name, value in painter.state_dict().items()}))


def card(lesson: LandscapeLesson) -> dict[str, Any]:
    """What a landscape's `model.json` says, beside how its training went and where."""
    return {
        "kind": "landscape",
        "name": lesson.name,
        "config": asdict(lesson.config),
        "generator": fingerprint(lesson.painter),
        "latent": list(lesson.landscape.centre.shape),
        "size": lesson.painter.size,
        "data": {"dataset": lesson.dataset.name, "train": len(lesson.train), "val": len(lesson.val)},
        "parameters": sum(weights.numel() for weights in lesson.landscape.parameters()),
    }
