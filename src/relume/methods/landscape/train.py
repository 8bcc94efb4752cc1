"""Training of a landscape (Liu et al. 2022): in each step some trajectories descend through the current theta and their states go
to the replay buffer; then theta is updated on states of the buffer. The generator is frozen."""

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
from relume.methods.gan.model import TrainedGan
from relume.methods.landscape.config import LandscapeConfig
from relume.methods.landscape.likeness import Likeness
from relume.methods.landscape.model import Landscape
from relume.methods.landscape.trajectories import Learner, See, descend, loss_gradient
from relume.methods.latent.train import variance
from relume.networks.weights import canonical, digest
from relume.training.models import Trained
from relume.training.optimiser import below
from relume.training.trainer import LOSS, Setup, Trainer, mean_metrics, mean_terms, sheet_rows

SHOWN = 6  # images in a row of a preview
SLOPES = 480  # images for the principal axes of gradients
FAINT = 1e-6  # minimum of the losses in `relative`

Through = Callable[[Tensor], Tensor]  # states -> latents


class LandscapeTrainer(Trainer[LandscapeConfig]):
    """`module` is the landscape with its trajectories and replay buffer."""

    kind = "landscape"
    module: Learner

    def __init__(self, setup: Setup[LandscapeConfig], trained: TrainedGan) -> None:
        super().__init__(setup)
        config, ways = self.config, self.config.descents
        config.check(self.ranks.count, f"{self.key}.descents.per_batch")
        self.painter = trained.generator  # frozen
        scale = variance(self.painter, config.space, self.run.seed) ** 0.5
        with self.seeded():
            made = Landscape(self.painter.centre(config.space).cpu(), scale, config.architecture)
        self.likeness = Likeness(config, self.store, self.device)
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
        return self.painter.paint_latents(self.config.space, latents)

    def starts(self, generators: Sequence[torch.Generator]) -> Tensor:
        """Initial states, (N, D): random latents scaled by `descents.start`, row n from generator n."""
        return self.config.descents.start * self.model.units(self.painter.drawn(self.config.space, generators))

    def toward(self, rows: Sequence[int], through: Through) -> See:
        """The loss of states for these target images."""
        target = self.likeness.target(self.pixels(rows))
        return lambda z: self.likeness(self.paint(through(z)), target)

    def seen(self, z: Tensor, numbers: Tensor) -> dict[str, Tensor]:
        """The same for indices of training images."""
        return self.toward([self.train[number] for number in numbers.tolist()], self.model)(z)

    @cached_property
    def plain(self) -> dict[str, float]:
        """Validation metrics of descents without theta."""
        return self.reached(self.model.latents)

    @torch.no_grad()
    def gradients(self) -> Tensor:
        """Gradients of the loss of training images, at latents between the mean and random ones: (N, D)."""
        found = []
        for rows in self.batches(self.train[:SLOPES]):
            draws = [generator(self.run.seed, "slope", row) for row in rows]
            initial = self.model.units(self.painter.drawn(self.config.space, draws))
            share = torch.stack([torch.rand((), generator=one) for one in draws]).to(initial)
            found.append(loss_gradient(self.toward(rows, self.model.latents), share[:, None] * initial)[1])
        return torch.cat(found)

    def loss(self, rows: list[int], generators: Sequence[torch.Generator]) -> dict[str, Tensor]:
        """On as many states of the replay buffer as rows. New trajectories have the images of the first rows as targets."""
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
        """Means over validation images of the final metrics of descents from fixed starts."""
        return mean_metrics([self.ended(rows, through)[0] for rows in self.batches(self.val)])

    def ended(self, rows: Sequence[int], through: Through) -> tuple[dict[str, Tensor], Tensor]:
        """Final terms and PSNR of descents, (N,) each, and the final images."""
        initial = self.starts([generator(self.run.seed, "validation", id) for id in self.dataset.ids(list(rows))])
        ways = self.config.descents
        *_, last = descend(self.toward(rows, through), initial, steps=ways.steps, rate=ways.learning_rate, betas=ways.betas)
        made = self.paint(through(last.z))
        return {**last.terms, "psnr": image.psnr(made, self.pixels(rows))}, made

    def validate(self) -> dict[str, float]:
        """Final loss, terms and PSNR of descents; and loss and PSNR without theta."""
        floors = {"loss_plain": self.plain[LOSS], "floor_plain": self.plain["psnr"]}
        return self.reached(self.model) | floors

    @torch.no_grad()
    def preview(self) -> np.ndarray:
        """Validation images, then the final images of descents."""
        parts = [(self.pixels(rows), self.ended(rows, self.model)[1]) for rows in self.batches(self.val[:SHOWN])]
        return sheet_rows(parts)

    def finish(self, trained: Trained) -> Trained:
        """Keeps only the landscape's weights."""
        return replace(trained, best=below("landscape", trained.best), last=below("landscape", trained.last))

    def facts(self) -> dict[str, Any]:
        generator = fingerprint(self.painter)
        return {"generator": generator, "latent": list(self.model.centre.shape), "size": self.painter.size}

    def summary(self, metrics: Mapping[str, float]) -> str:
        reached = f"a loss of {metrics[LOSS]:.4f} after {self.config.descents.steps} steps"
        return f"{reached}; without it {metrics['loss_plain']:.4f}"


def axes(vectors: Tensor) -> Tensor:
    """Principal axes of (N, D) as columns, smallest eigenvalue first: (D, D)."""
    return torch.linalg.eigh((vectors.mT @ vectors).double().cpu()).eigenvectors.to(vectors)


def relative(values: Tensor) -> Tensor:
    """The mean, (N,) -> (), with gradients weighted by the inverse loss, so that late states with small losses count equally."""
    detached = values.detach()
    return (values * detached.mean() / detached.clamp(min=FAINT)).mean()


def fingerprint(painter: Generator) -> str:
    """Identifies a generator by its weights."""
    return digest(canonical({name: value.cpu() for name, value in painter.state_dict().items()}))
