"""Training a landscape (Liu et al. 2022): in each step some trajectories descend through the current theta and their states are
remembered; then theta learns from remembered states. The generator is frozen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relume.core.images import resize
from relume.core.runtime import generator
from relume.losses import image
from relume.methods.gan.generator import Generator
from relume.methods.gan.trained import TrainedGan
from relume.methods.landscape.config import LandscapeConfig
from relume.methods.landscape.likeness import likeness
from relume.methods.landscape.model import Landscape
from relume.methods.landscape.replay import Learner
from relume.methods.landscape.trajectories import See, descend, loss_gradient
from relume.methods.latent.train import mean_latent, shaped, variance
from relume.networks.weights import canonical, digest
from relume.training.ema import below
from relume.training.models import Trained
from relume.training.trainer import LOSS, Setup, Trainer, mean_metrics, mean_terms, sheet_rows

SHOWN = 6  # images in a row of a preview
SLOPES = 480  # images whose gradients the axes are computed from
FAINT = 1e-6  # losses below are taken for this much

Through = Callable[[Tensor], Tensor]  # states -> latents


class LandscapeTrainer(Trainer[LandscapeConfig]):
    """`module` is the landscape with its trajectories and their memory, which a checkpoint holds as well."""

    kind = "landscape"
    module: Learner

    def __init__(self, setup: Setup[LandscapeConfig], trained: TrainedGan) -> None:
        super().__init__(setup)
        config, ways = self.config, self.config.descents
        config.check(self.ranks.count, f"{self.key}.descents.per_batch")
        self.painter = trained.generator  # frozen
        scale = variance(self.painter, config.space, self.run.seed) ** 0.5
        with self.seeded():
            made = Landscape(mean_latent(self.painter, config.space).cpu(), scale, config.architecture)
        self.likeness = likeness(config, self.store, self.device)
        self.module = Learner(made, per_batch=ways.per_batch, steps=ways.steps, replay=config.replay).to(self.device)
        if made.basis is not None:
            made.basis.copy_(axes(self.gradients()))

    @property
    def model(self) -> Landscape:
        return self.module.landscape

    def pixels(self, rows: Sequence[int]) -> Tensor:
        """At the generator's size."""
        return resize(super().pixels(rows), self.painter.size)

    def paint(self, latents: Tensor) -> Tensor:
        return paint(self.painter, self.config.space, latents)

    def starts(self, generators: Sequence[torch.Generator]) -> Tensor:
        """Initial states, row n drawn by generator n: the generator's own latents, nearer to the mean: (N, D)."""
        return self.config.descents.start * drawn(self.model, self.painter, self.config.space, generators)

    def toward(self, rows: Sequence[int], through: Through) -> See:
        """The loss of states that look for these images."""
        target = self.likeness.target(self.pixels(rows))
        return lambda z: self.likeness(self.paint(through(z)), target)

    def seen(self, z: Tensor, numbers: Tensor) -> dict[str, Tensor]:
        """The same, of training images by their place in the list of them."""
        return self.toward([self.train[number] for number in numbers.tolist()], self.model)(z)

    @cached_property
    def plain(self) -> dict[str, float]:
        """What descents reach without theta."""
        return self.reached(self.model.latents)

    @torch.no_grad()
    def gradients(self) -> Tensor:
        """Gradients of the plain loss of training images, at latents between the mean and the generator's own: (N, D)."""
        found = []
        for rows in self.batches(self.train[:SLOPES]):
            draws = [generator(self.run.seed, "slope", row) for row in rows]
            initial = drawn(self.model, self.painter, self.config.space, draws)
            share = torch.stack([torch.rand((), generator=one) for one in draws]).to(initial)
            found.append(loss_gradient(self.toward(rows, self.model.latents), share[:, None] * initial)[1])
        return torch.cat(found)

    def loss(self, rows: list[int], generators: Sequence[torch.Generator]) -> dict[str, Tensor]:
        """Over as many remembered states as there are rows. New trajectories look for the images of the first rows."""
        going, ring, ways = self.module.going, self.module.ring, self.config.descents
        count = len(going.z)
        going.renew(self.starts(generators[:count]), torch.tensor(rows[:count], device=self.device))
        going.advance(self.seen, ways.learning_rate, ways.betas)
        ring.add(going.z, going.pictures)
        states, pictures = ring.draw(generators)
        found = self.seen(states, pictures)
        means = mean_terms(found)
        return means | {LOSS: relative(found[LOSS])} if self.config.relative else means

    @torch.no_grad()
    def reached(self, through: Through) -> dict[str, float]:
        """Means over the validation images at the end of descents from fixed starts."""
        return mean_metrics([self.ended(rows, through)[0] for rows in self.batches(self.val)])

    def ended(self, rows: Sequence[int], through: Through) -> tuple[dict[str, Tensor], Tensor]:
        """Terms and PSNR where descents end, (N,) each, and the images there."""
        initial = self.starts([generator(self.run.seed, "validation", id) for id in self.dataset.ids(list(rows))])
        ways = self.config.descents
        *_, last = descend(self.toward(rows, through), initial, steps=ways.steps, rate=ways.learning_rate, betas=ways.betas)
        made = self.paint(through(last.z))
        return {**last.terms, "psnr": image.psnr(made, self.pixels(rows))}, made

    def validate(self) -> dict[str, float]:
        """After as many steps as it learns with: the loss, its terms, PSNR; and what is reached without theta."""
        floors = {"loss_plain": self.plain[LOSS], "floor_plain": self.plain["psnr"]}
        return self.reached(self.model) | floors

    @torch.no_grad()
    def preview(self) -> np.ndarray:
        """Validation images over where descents end."""
        parts = [(self.pixels(rows), self.ended(rows, self.model)[1]) for rows in self.batches(self.val[:SHOWN])]
        return sheet_rows(parts)

    def finish(self, trained: Trained) -> Trained:
        """The landscape alone."""
        return replace(trained, best=below("landscape", trained.best), last=below("landscape", trained.last))

    def facts(self) -> dict[str, Any]:
        generator = fingerprint(self.painter)
        return {"generator": generator, "latent": list(self.model.centre.shape), "size": self.painter.size}

    def summary(self, metrics: Mapping[str, float]) -> str:
        reached = f"a loss of {metrics[LOSS]:.4f} after {self.config.descents.steps} steps"
        return f"{reached}; without it {metrics['loss_plain']:.4f}"


def axes(vectors: Tensor) -> Tensor:
    """Of (N, D) the directions that they vary in independently, as columns, the weakest first: (D, D)."""
    return torch.linalg.eigh((vectors.mT @ vectors).double().cpu()).eigenvectors.to(vectors)


def paint(painter: Generator, space: str, latents: Tensor) -> Tensor:
    return painter(latents) if space == "z" else painter.synthesise(latents)


@torch.no_grad()
def drawn(landscape: Landscape, painter: Generator, space: str, generators: Sequence[torch.Generator]) -> Tensor:
    """The generator's own latents in units, row n drawn by generator n: (N, D)."""
    z = painter.draw(generators)
    return landscape.units(z if space == "z" else shaped(painter, painter.map(z), space))


def relative(values: Tensor) -> Tensor:
    """Their mean, (N,) -> (), whose gradient counts every state by the share that it loses: late ones are small, and matter."""
    seen = values.detach()
    return (values * seen.mean() / seen.clamp(min=FAINT)).mean()


def fingerprint(painter: Generator) -> str:
    """Identifies a generator by its weights."""
    return digest(canonical({name: value.cpu() for name, value in painter.state_dict().items()}))
