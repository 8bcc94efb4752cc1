"""Training a generator: it makes pictures, a discriminator tells them from true ones, each learns from the other.

What is kept are the last weights, averaged. How far its pictures' embeddings are from those of held-out pictures is written down
on the way, since neither player's loss tells that; nothing is chosen by it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
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
from relume.losses import gan as losses
from relume.losses.kernel import kid
from relume.methods.gan import model as gans
from relume.methods.gan.config import Eye, GanConfig, LeastSquares, Logistic, Moments
from relume.methods.gan.diff_augment import diff_augment
from relume.methods.gan.generator import Generator
from relume.methods.gan.judge import Judge
from relume.methods.gan.mean_latent import centre
from relume.methods.gan.moments import Crowd
from relume.networks.network import Network, load
from relume.networks.taps import collect
from relume.networks.weights import WeightStore
from relume.training.augment import augment
from relume.training.ema import copied
from relume.training.loop import LOSS, Task
from relume.training.models import Trained
from relume.training.rival import RIVAL, Rival, at_rest

SHOWN = 8  # pictures in a row of a sheet
ROWS = 4  # of the sheet that is kept

Look = Callable[[Tensor], Tensor]  # pictures -> embeddings (N, D)


@dataclass(frozen=True, kw_only=True)
class GanLesson:
    """Everything that a generator is trained with, and both players. Rows are numbers of the dataset."""

    name: str
    config: GanConfig
    run: Run
    dataset: Dataset
    device: torch.device
    train: list[int]
    val: list[int]
    generator: Generator
    judge: Judge | None  # none where there is no duel
    crowd: Crowd | None  # what made pictures are held against there
    look: Look
    held_out: Tensor  # embeddings of the validation pictures

    def task(self) -> Task:
        return Task(
            name=self.name,
            module=self.generator,
            device=self.device,
            count=len(self.train),
            loss=partial(loss, self),
            validate=partial(validate, self),
            look=partial(progress, self),
            rival=self._rival(),
        )

    def _rival(self) -> Rival | None:
        if self.judge is None:
            return None
        return Rival(module=self.judge, learning_rate=self.config.discriminator_rate, betas=self.config.discriminator_betas)

    def pictures(self, rows: Sequence[int]) -> Tensor:
        return self.dataset.pixels(list(rows)).to(self.device)

    def samples(self, count: int) -> Iterator[Tensor]:
        """The first `count` pictures of the fixed draws, a micro-batch at a time."""
        step = self.run.micro_batch
        for numbers in (range(at, min(at + step, count)) for at in range(0, count, step)):
            draws = [generator(self.run.seed, "sample", number) for number in numbers]
            yield self.generator(self.generator.draw(draws), self.generator.draw_noise(draws))


def gan_lesson(
    *, name: str, config: GanConfig, run: Run, dataset: Dataset, store: WeightStore, device: torch.device
) -> GanLesson:
    """Both players built, their weights drawn from the seed and the name; what the held-out pictures look like."""
    if dataset.name != config.dataset:
        raise UserError(f"generator {name} is to learn from {config.dataset}, but --images holds {dataset.name}")
    size, val = dataset.size, dataset.select("val", config.validation)
    if len(val) < 2:
        raise UserError(f"generator {name}: two validation pictures are wanted at least, {dataset.name} has {len(val)}")
    train = dataset.select("train")
    learned = train[: len(train) - config.withheld]
    if not learned:
        raise UserError(f"generator {name}: {config.withheld} pictures withheld, {dataset.name} has {len(train)} to learn from")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(run.seed, "gan", name))
        made = gans.generator(config.architecture, size).to(device)
        judge = None if isinstance(config.duel, Moments) else _judge(config, size).to(device)
    look = partial(embed, load(config.eye.network, store, device), config.eye)

    def parts(rows: Sequence[int]) -> Iterator[Tensor]:
        return (dataset.pixels(list(rows[at : at + run.micro_batch])).to(device) for at in range(0, len(rows), run.micro_batch))

    crowd = None
    if isinstance(config.duel, Moments):
        crowd = Crowd(config.duel, load(config.duel.network, store, device), parts(learned[: config.duel.pictures]))
    return GanLesson(
        name=name,
        config=config,
        run=run,
        dataset=dataset,
        device=device,
        train=learned,
        val=val,
        generator=made,
        judge=judge,
        crowd=crowd,
        look=look,
        held_out=torch.cat([look(pictures) for pictures in parts(val)]),
    )


def _judge(config: GanConfig, size: int) -> Judge:
    history = config.duel.history if isinstance(config.duel, LeastSquares) else 0
    return Judge(gans.discriminator(config.architecture, size), size, history)


@torch.no_grad()
def embed(network: Network, eye: Eye, pictures: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, D): the tap's mean over positions."""
    pictures = resize(pictures, eye.pixels or pictures.shape[-1])
    with collect(network, (eye.tap,)) as tapped:
        values = tapped(pictures)[eye.tap].float()
    return values.flatten(2).mean(2) if values.ndim == 4 else values


def loss(lesson: GanLesson, rows: list[int], generators: Sequence[torch.Generator]) -> dict[str, Tensor]:
    """Means over a batch: each player's loss and what it is made of. No slope of one reaches the other."""
    config, made, judge = lesson.config, lesson.generator, lesson.judge
    if judge is None:
        assert lesson.crowd is not None
        return {LOSS: lesson.crowd(made(made.draw(generators), made.draw_noise(generators))).mean()}
    images = augment(lesson.pictures([lesson.train[row] for row in rows]), config.augment, generators)
    fakes = made(made.draw(generators), made.draw_noise(generators))
    real = diff_augment(images, config.diff_augment, generators)
    fake = diff_augment(fakes, config.diff_augment, generators)
    if isinstance(config.duel, LeastSquares):
        past = diff_augment(judge.history.exchange(fakes.detach(), generators), config.diff_augment, generators)
        found = by_squares(judge, config.duel, real, fake, past=past)
    else:
        assert isinstance(config.duel, Logistic)
        found = by_logits(judge, lesson.generator, config.duel, real, fake, generators=generators)
    return {name: value.mean() for name, value in found.items()}


def by_squares(judge: Judge, duel: LeastSquares, real: Tensor, fake: Tensor, *, past: Tensor) -> dict[str, Tensor]:
    """S0's duel: (N,) each."""
    told = losses.lsgan_discriminator(judge(real), judge(fake.detach()), judge(past), duel.label)
    with at_rest(judge):
        return {LOSS: losses.least_squares(judge(fake), duel.label), RIVAL: told}


def by_logits(
    judge: Judge, made: Generator, duel: Logistic, real: Tensor, fake: Tensor, *, generators: Sequence[torch.Generator]
) -> dict[str, Tensor]:
    """StyleGAN2's duel: (N,) each, but for means over parts of the batch. Paths are asked of half as many pictures."""
    told = losses.logistic_discriminator(judge(real), judge(fake.detach()))
    with at_rest(judge):
        fooled = losses.logistic_generator(judge(fake))
    r1 = path = torch.zeros_like(told.detach())
    if duel.r1 > 0 and _now(duel.r1_every, generators):
        shown = real.detach().requires_grad_()
        r1 = duel.r1 / 2 * losses.gradient_penalty(judge(shown), shown)
    if duel.path_length > 0 and _now(duel.path_every, generators):
        path = duel.path_length * judge.paths(made, generators[: max(1, len(generators) // 2)])
    whole = {LOSS: fooled.mean() + duel.path_every * path.mean(), RIVAL: told.mean() + duel.r1_every * r1.mean()}
    return {**whole, "fooled": fooled, "path": duel.path_every * path, "told": told, "r1": duel.r1_every * r1}


def _now(every: int, generators: Sequence[torch.Generator]) -> bool:
    """One step of so many, on average: drawn, so that there is nothing to count, and nothing to restore."""
    return float(torch.rand((), generator=generators[0])) * every < 1


@torch.no_grad()
def validate(lesson: GanLesson) -> dict[str, float]:
    """KID of fixed draws against the held-out pictures."""
    seen = torch.cat([lesson.look(pictures) for pictures in lesson.samples(lesson.config.samples)])
    return {LOSS: kid(seen, lesson.held_out)}


def settled(lesson: GanLesson, trained: Trained) -> Trained:
    """What is kept of it: the last weights, averaged, with the mean latent of these. The generator has them."""
    made, steps = lesson.generator, lesson.config.training.steps
    made.load_state_dict(trained.last)
    centre(made, lesson.run.seed, "gan")
    weights = {name: value.cpu() for name, value in copied(made.state_dict()).items()}
    reached = {row["term"]: row["value"] for row in trained.history if row["step"] == steps}
    return replace(trained, best=weights, best_step=steps, metrics={LOSS: reached[f"val/{LOSS}"]})


@torch.no_grad()
def progress(lesson: GanLesson) -> np.ndarray:
    """True pictures over made ones, which have nothing to do with them: uint8 (2, K, H, W, 3)."""
    real = lesson.pictures(lesson.val[:SHOWN])
    return np.stack([to_uint8(real), to_uint8(torch.cat(list(lesson.samples(len(real)))))])


@torch.no_grad()
def sheet(lesson: GanLesson) -> np.ndarray:
    """Made pictures, uint8 (H, W, 3)."""
    made = to_uint8(torch.cat(list(lesson.samples(ROWS * SHOWN))))
    return grid(made.reshape(ROWS, SHOWN, *made.shape[1:]))


def card(lesson: GanLesson) -> dict[str, Any]:
    """What a generator's `model.json` says, beside how its training went and where."""
    return {
        "kind": "gan",
        "name": lesson.name,
        "config": asdict(lesson.config),
        "size": lesson.dataset.size,
        "data": {"dataset": lesson.dataset.name, "train": len(lesson.train), "val": len(lesson.val)},
        "parameters": sum(weights.numel() for weights in lesson.generator.parameters()),
    }
