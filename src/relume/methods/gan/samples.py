"""Samples of a trained generator from fixed seeds, and interpolations between latents."""

import numpy as np
import torch
from torch import Tensor

from relume.core.images import to_uint8
from relume.core.run import Run
from relume.core.runtime import generator
from relume.core.samples import About, Samples
from relume.data.store import batches
from relume.methods.gan.config import Drawn
from relume.methods.gan.generator import Generator


@torch.no_grad()
def sampled(model: Generator, config: Drawn, run: Run, name: str, dataset: str) -> Samples:
    """The content of `data/samples/<name>`. Its seeds differ from those of training."""
    about = About(name=name, dataset=dataset, size=model.size, n=config.count, seed=run.seed, truncation=float(config.truncation))
    return Samples(about=about, images=_images(model, config, run), walk=_walk(model, config, run))


def _images(model: Generator, config: Drawn, run: Run) -> np.ndarray:
    """uint8 (count, size, size, 3), each with its own noise."""
    parts = []
    for batch in batches(range(config.count), run.micro_batch):
        draws = [generator(run.seed, "drawn", number) for number in batch]
        z, noise = model.draw(draws), model.draw_noise(draws)
        parts.append(to_uint8(model.synthesise(model.truncated(model.map(z), config.truncation), noise)))
    return np.concatenate(parts)


def _walk(model: Generator, config: Drawn, run: Run) -> np.ndarray:
    """uint8 (walks, steps, size, size, 3): with the generator's stored noise, so that only w changes."""
    rows = []
    for number in range(config.walks):
        ends = model.draw([generator(run.seed, "walk", number, end) for end in ("from", "to")])
        w = model.truncated(between(model, ends[:1], ends[1:], config.steps), config.truncation)
        rows.append(np.concatenate([to_uint8(model.synthesise(part)) for part in w.split(run.micro_batch)]))
    return np.stack(rows)


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


def mixed(generator: Generator, coarse: Tensor, fine: Tensor, crossover: int) -> Tensor:
    """w or w+ each, (N, …) -> w+ (N, layers, width): the first `crossover` layers of `coarse`, the others of `fine`."""
    if not 0 <= crossover <= generator.layers:
        raise ValueError(f"crossover must be 0 to {generator.layers}, got {crossover}")
    return torch.cat([generator.spread(coarse)[:, :crossover], generator.spread(fine)[:, crossover:]], dim=1)


def truncated_coarse(generator: Generator, w: Tensor, psi: float, layers: int) -> Tensor:
    """w or w+ -> w+, with truncation of the first `layers`; published: psi 0.7, 8 layers."""
    return mixed(generator, generator.truncated(w, psi), w, layers)
