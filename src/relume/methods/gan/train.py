"""Training of a generator, against a discriminator or by moments of a frozen network's features. The averaged last weights are
saved. KID between samples and validation images is logged, but not used for selection."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from relume.core.images import resize, to_uint8
from relume.core.runtime import generator
from relume.core.samples import Samples
from relume.core.sheet import grid
from relume.losses import gan as losses
from relume.losses.gan import kid
from relume.methods.gan import model as gans
from relume.methods.gan.adversary import Adversary, diff_augment
from relume.methods.gan.config import GanConfig, LeastSquares, Logistic, MetricNetwork, Moments
from relume.methods.gan.generator import Generator, set_mean
from relume.methods.gan.moments import ReferenceFeatures
from relume.methods.gan.samples import sampled
from relume.networks.network import Network, load
from relume.networks.taps import collect
from relume.training.adversarial import DISCRIMINATOR, DiscriminatorState, frozen
from relume.training.augment import augment
from relume.training.models import Trained
from relume.training.optimiser import copied
from relume.training.trainer import LOSS, SHOWN, Setup, Trainer, mean_terms

ROWS = 4  # of samples.png


class GanTrainer(Trainer[GanConfig]):
    kind = "gan"
    module: Generator

    def __init__(self, setup: Setup[GanConfig]) -> None:
        super().__init__(setup)
        config, size, device = self.config, self.dataset.size, self.device
        self.train = train = self.train[: len(self.train) - config.withheld]
        self.adversary: Adversary | None = None
        self.reference: ReferenceFeatures | None = None  # of real images
        with self.seeded():
            self.module = gans.generator(config.architecture, size).to(device)
            if not isinstance(config.objective, Moments):
                history = config.objective.history if isinstance(config.objective, LeastSquares) else 0
                self.adversary = Adversary(gans.discriminator(config.architecture, size), size, history).to(device)
        if self.adversary is not None:
            self.discriminator = DiscriminatorState(self.adversary, config.discriminator_rate, config.discriminator_betas)
        self.metric_network = load(config.metric_network.network, self.store, device)
        if isinstance(config.objective, Moments):
            true = map(self.pixels, self.batches(train[: config.objective.pictures]))
            self.reference = ReferenceFeatures(config.objective, load(config.objective.network, self.store, device), true)
        self.held_out = torch.cat([self.embed(self.pixels(rows)) for rows in self.batches(self.val)])

    def embed(self, pictures: Tensor) -> Tensor:
        return embed(self.metric_network, self.config.metric_network, pictures)

    def draw(self, count: int) -> Iterator[Tensor]:
        """The first `count` fixed samples, in micro-batches."""
        for numbers in self.batches(range(count)):
            draws = [generator(self.run.seed, "sample", number) for number in numbers]
            yield self.module(self.module.draw(draws), self.module.draw_noise(draws))

    def loss(self, rows: list[int], generators: Sequence[torch.Generator]) -> dict[str, Tensor]:
        """Losses of generator and discriminator, with separate gradients, and their terms."""
        config, made, adversary = self.config, self.module, self.adversary
        if adversary is None:
            assert self.reference is not None
            return {LOSS: self.reference(made(made.draw(generators), made.draw_noise(generators))).mean()}
        images = augment(self.pixels([self.train[row] for row in rows]), config.augment, generators)
        fakes = made(made.draw(generators), made.draw_noise(generators))
        real = diff_augment(images, config.diff_augment, generators)
        fake = diff_augment(fakes, config.diff_augment, generators)
        if isinstance(config.objective, LeastSquares):
            adversary.history.add(fakes.detach())
            (past,) = adversary.history.draw(generators)
            past = diff_augment(past, config.diff_augment, generators)
            return mean_terms(by_squares(adversary, config.objective, real, fake, past=past))
        assert isinstance(config.objective, Logistic)
        return mean_terms(by_logits(adversary, made, config.objective, real, fake, generators=generators))

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """KID between fixed samples and the validation images."""
        embeddings = torch.cat([self.embed(pictures) for pictures in self.draw(self.config.samples)])
        return {LOSS: kid(embeddings, self.held_out)}

    def finish(self, trained: Trained) -> Trained:
        """The last weights, averaged, with their mean latent."""
        made, steps = self.module, self.config.training.steps
        made.load_state_dict(trained.last)
        set_mean(made, self.run.seed, "gan")
        weights = {name: value.cpu() for name, value in copied(made.state_dict()).items()}
        reached = {row["term"]: row["value"] for row in trained.history if row["step"] == steps}
        return replace(trained, best=weights, best_step=steps, metrics={LOSS: reached[f"val/{LOSS}"]})

    @torch.no_grad()
    def preview(self) -> np.ndarray:
        """Real images, then samples, which are unrelated to them."""
        real = self.pixels(self.val[:SHOWN])
        return np.stack([to_uint8(real), to_uint8(torch.cat(list(self.draw(len(real)))))])

    @torch.no_grad()
    def samples(self) -> np.ndarray:
        made = to_uint8(torch.cat(list(self.draw(ROWS * SHOWN))))
        return grid(made.reshape(ROWS, SHOWN, *made.shape[1:]))

    def drawn(self) -> Samples:
        """The content of `data/samples/<name>`."""
        return sampled(self.module, self.config.drawn, self.run, self.name, self.dataset.name)

    def summary(self, metrics: Mapping[str, float]) -> str:
        return f"KID {metrics[LOSS]:.4f} to validation images, in features of {self.config.metric_network.network}"


@torch.no_grad()
def embed(network: Network, metric_network: MetricNetwork, pictures: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, D): the tap's mean over positions."""
    pictures = resize(pictures, metric_network.pixels or pictures.shape[-1])
    with collect(network, (metric_network.tap,)) as tapped:
        values = tapped(pictures)[metric_network.tap].float()
    return values.flatten(2).mean(2) if values.ndim == 4 else values


def by_squares(adversary: Adversary, objective: LeastSquares, real: Tensor, fake: Tensor, *, past: Tensor) -> dict[str, Tensor]:
    """Multi-objective inversion's adversarial objective: (N,) each."""
    discriminated = losses.lsgan_discriminator(adversary(real), adversary(fake.detach()), adversary(past), objective.label)
    with frozen(adversary):
        return {LOSS: losses.least_squares(adversary(fake), objective.label), DISCRIMINATOR: discriminated}


def by_logits(
    adversary: Adversary,
    made: Generator,
    objective: Logistic,
    real: Tensor,
    fake: Tensor,
    *,
    generators: Sequence[torch.Generator],
) -> dict[str, Tensor]:
    """StyleGAN2's adversarial objective: (N,) each, or means over parts of the batch. Path lengths use half the batch."""
    discriminated = losses.logistic_discriminator(adversary(real), adversary(fake.detach()))
    with frozen(adversary):
        fooled = losses.logistic_generator(adversary(fake))
    r1 = path = torch.zeros_like(discriminated.detach())
    if objective.r1 > 0 and _now(objective.r1_every, generators):
        shown = real.detach().requires_grad_()
        r1 = objective.r1 / 2 * losses.gradient_penalty(adversary(shown), shown)
    if objective.path_length > 0 and _now(objective.path_every, generators):
        path = objective.path_length * adversary.paths(made, generators[: max(1, len(generators) // 2)])
    whole = {
        LOSS: fooled.mean() + objective.path_every * path.mean(),
        DISCRIMINATOR: discriminated.mean() + objective.r1_every * r1.mean(),
    }
    parts = {"path": objective.path_every * path, "told": discriminated, "r1": objective.r1_every * r1}
    return {**whole, "fooled": fooled, **parts}


def _now(every: int, generators: Sequence[torch.Generator]) -> bool:
    """True with probability 1 / every: no counter to save in checkpoints."""
    return float(torch.rand((), generator=generators[0])) * every < 1
