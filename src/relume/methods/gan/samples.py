"""Samples of a trained generator from fixed seeds, and interpolations between latents."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from relume.core.images import to_uint8
from relume.core.runtime import generator
from relume.core.samples import About, Samples
from relume.methods.gan.config import Drawn
from relume.methods.gan.generator import Generator


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """Its seeds differ from those of training."""

    model: Generator
    config: Drawn
    seed: int
    micro_batch: int

    @torch.no_grad()
    def images(self) -> np.ndarray:
        """uint8 (count, size, size, 3), each with its own noise."""
        batches, count, step = [], self.config.count, self.micro_batch
        for at in range(0, count, step):
            draws = [generator(self.seed, "drawn", number) for number in range(at, min(at + step, count))]
            z, noise = self.model.draw(draws), self.model.draw_noise(draws)
            batches.append(to_uint8(self.model.synthesise(self._truncated(self.model.map(z)), noise)))
        return np.concatenate(batches)

    @torch.no_grad()
    def walk(self) -> np.ndarray:
        """uint8 (walks, steps, size, size, 3): with the generator's stored noise, so that only w changes."""
        rows = []
        for number in range(self.config.walks):
            ends = self.model.draw([generator(self.seed, "walk", number, end) for end in ("from", "to")])
            w = self._truncated(between(self.model, ends[:1], ends[1:], self.config.steps))
            rows.append(np.concatenate([to_uint8(self.model.synthesise(part)) for part in w.split(self.micro_batch)]))
        return np.stack(rows)

    def _truncated(self, w: Tensor) -> Tensor:
        return self.model.truncated(w, self.config.truncation)


def between(model: Generator, start: Tensor, end: Tensor, steps: int) -> Tensor:
    """From z (1, latent) to z (1, latent), both included: w (steps, width), linear in w. If w is z it is spherical, because
    normal vectors have nearly equal norms."""
    share = torch.linspace(0, 1, steps, device=start.device)[:, None]
    a, b = model.map(start), model.map(end)
    return arc(a, b, share) if a is start else torch.lerp(a.expand(steps, -1), b.expand(steps, -1), share)


def arc(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """Spherical interpolation (1 - t) -> t: a, b (1, D), t (K, 1) -> (K, D); linear for parallel vectors."""
    angle = torch.cosine_similarity(a, b, dim=1).clamp(-1, 1).acos()[:, None]
    spherical = (((1 - share) * angle).sin() * a + (share * angle).sin() * b) / angle.sin()
    return torch.where(angle.sin() > 1e-3, spherical, (1 - share) * a + share * b)


def sampled(sampler: Sampler, name: str, dataset: str) -> Samples:
    """The content of `data/samples/<name>`."""
    images = sampler.images()
    truncation = float(sampler.config.truncation)
    about = About(name=name, dataset=dataset, size=sampler.model.size, n=len(images), seed=sampler.seed, truncation=truncation)
    return Samples(about=about, images=images, walk=sampler.walk())


def mixed(generator: Generator, coarse: Tensor, fine: Tensor, crossover: int) -> Tensor:
    """w or w+ each, (N, …) -> w+ (N, layers, width): the first `crossover` layers of `coarse`, the others of `fine`."""
    if not 0 <= crossover <= generator.layers:
        raise ValueError(f"crossover must be 0 to {generator.layers}, got {crossover}")
    return torch.cat([generator.spread(coarse)[:, :crossover], generator.spread(fine)[:, crossover:]], dim=1)


def truncated_coarse(generator: Generator, w: Tensor, psi: float, layers: int) -> Tensor:
    """w or w+ -> w+, with truncation of the first `layers`; published: psi 0.7, 8 layers."""
    return mixed(generator, generator.truncated(w, psi), w, layers)
