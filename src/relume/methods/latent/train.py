"""Training of a mapper from features of a frozen network to latents of a frozen generator. The latent term uses samples, the
pixel and feature terms real images."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relume.core.images import resize
from relume.core.runtime import generator
from relume.losses import feature, image
from relume.methods.gan.generator import Generator
from relume.methods.gan.model import TrainedGan
from relume.methods.latent.config import MapperConfig
from relume.methods.latent.model import Mapper, build
from relume.networks.network import load
from relume.networks.taps import compute
from relume.training.augment import augment
from relume.training.trainer import LOSS, SHOWN, Setup, Trainer, mean_metrics, mean_terms, sheet_rows

DRAWN = 64  # latents for their variance

Seen = dict[str, Tensor]  # tap -> features


class MapperTrainer(Trainer[MapperConfig]):
    kind = "mapper"
    module: Mapper

    def __init__(self, setup: Setup[MapperConfig], trained: TrainedGan) -> None:
        super().__init__(setup)
        self.painter = trained.generator  # frozen
        self.network = load(self.config.network, self.store, self.device)
        seen = self.see(self.pixels(self.train[:1]))
        self.shapes = {tap: tuple(value.shape[1:]) for tap, value in seen.items()}
        self.scale = variance(self.painter, self.config.space, self.run.seed)  # of its latents
        self.centre = self.painter.centre(self.config.space)
        with self.seeded():
            self.module = build(self.shapes, self.centre.cpu(), self.config.architecture).to(self.device)

    def see(self, pictures: Tensor) -> Seen:
        name = self.config.network
        return compute({name: self.network}, pictures, {name: self.config.taps})[name]

    def paint(self, latent: Tensor) -> Tensor:
        """Images of the dataset's size."""
        return resize(self.painter.paint_latents(self.config.space, latent), self.dataset.size)

    def loss(self, rows: list[int], generators: Sequence[torch.Generator]) -> dict[str, Tensor]:
        """On a batch of augmented training images and as many samples."""
        images = augment(self.pixels([self.train[row] for row in rows]), self.config.augment, generators)
        return mean_terms(self.measure(images, generators))

    def measure(self, images: Tensor, generators: Sequence[torch.Generator]) -> dict[str, Tensor]:
        """All terms with a weight, and their weighted sum: (N,)."""
        weights, found = asdict(self.config.losses), {}
        if weights["latent"] > 0:  # of samples: mean over coordinates, in units of their variance
            with torch.autocast(self.device.type, enabled=False), torch.no_grad():
                true = self.painter.drawn(self.config.space, generators)
                features = self.see(self.paint(true))
            found["latent"] = (self.module(features) - true).square().flatten(1).mean(1) / self.scale
        if weights["pixel"] > 0 or weights["feature"] > 0:
            with torch.autocast(images.device.type, enabled=False), torch.no_grad():
                features = self.see(images)
            painted = self.paint(self.module(features))
            if weights["pixel"] > 0:
                found["pixel"] = image.pixel(painted, images)
            if weights["feature"] > 0:
                found["feature"] = feature.weighted(
                    "relative_l2", self.see(painted), features, dict.fromkeys(self.config.taps, 1.0)
                )
        total = torch.stack([weights[name] * value for name, value in found.items()]).sum(0)
        return {LOSS: total, **found}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """On validation images and fixed samples: terms, PSNR in dB, and that of two baselines."""
        found: list[dict[str, Tensor]] = []
        typical, at = self.paint(self.centre[None]), 0
        for rows in self.batches(self.val):
            images = self.pixels(rows)
            draws = [generator(self.run.seed, "validation", at + number) for number in range(len(images))]
            painted = self.paint(self.module(self.see(images)))
            floors = {"floor_own_mean": images.mean((2, 3), keepdim=True), "floor_mean_latent": typical}
            baselines = {name: image.psnr(floor.expand_as(images), images) for name, floor in floors.items()}
            found.append({**self.measure(images, draws), "psnr": image.psnr(painted, images), **baselines})
            at += len(images)
        return mean_metrics(found)

    @torch.no_grad()
    def preview(self) -> np.ndarray:
        """Validation images, then the reconstructions."""
        batches = map(self.pixels, self.batches(self.val[:SHOWN]))
        return sheet_rows([(images, self.paint(self.module(self.see(images)))) for images in batches])

    def facts(self) -> dict[str, Any]:
        return {"shapes": {tap: list(shape) for tap, shape in self.shapes.items()}, "latent": list(self.centre.shape)}

    def summary(self, metrics: Mapping[str, float]) -> str:
        floors = f"own mean colours {metrics['floor_own_mean']:.2f} dB, the mean latent {metrics['floor_mean_latent']:.2f} dB"
        return f"{metrics['psnr']:.2f} dB in validation; {floors}"


@torch.no_grad()
def variance(painter: Generator, space: str, seed: int) -> float:
    """The mean variance of the latents' coordinates; 1 for z."""
    if space == "z":
        return 1.0
    w = painter.map(painter.draw([generator(seed, "variance", number) for number in range(DRAWN)]))
    return float(w.var(0).mean().clamp_min(1e-12))
