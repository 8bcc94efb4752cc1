"""Training a denoiser: it predicts the clean image from a noisy one and a frozen network's features."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relume.core.runtime import generator
from relume.losses import image
from relume.methods.diffusion.config import DiffusionConfig
from relume.methods.diffusion.model import DATA, Denoiser, conditioned, direct, pure, sample
from relume.networks.network import load
from relume.networks.taps import compute
from relume.training.augment import augment
from relume.training.trainer import LOSS, SHOWN, Setup, Trainer, mean_metrics, sheet_rows

PREVIEW_STEPS = 10


class DiffusionTrainer(Trainer[DiffusionConfig]):
    kind = "diffusion"

    def __init__(self, setup: Setup[DiffusionConfig]) -> None:
        super().__init__(setup)
        config = self.config
        self.network = load(config.network, self.store, self.device)
        parts = [self.encode(self.pixels(rows)) for rows in self.batches(self.train[: config.moments])]
        self.shapes = {tap: tuple(value.shape[1:]) for tap, value in parts[0].items()}
        with self.seeded():
            self.module: Denoiser = Denoiser(self.shapes, self.dataset.size, config.architecture).to(self.device)
        channels = {
            tap: torch.cat([part[tap] for part in parts]).cpu().double().transpose(0, 1).flatten(1) for tap in config.taps
        }
        moments = {tap: torch.std_mean(values, 1, correction=0) for tap, values in channels.items()}
        self.module.set_moments({tap: (mean.float(), deviation.float()) for tap, (deviation, mean) in moments.items()})

    @property
    def asked(self) -> tuple[str | None, ...]:
        """The conditions: single taps, or None for all."""
        return self.config.taps if self.config.alone else (None,)

    @torch.no_grad()
    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """In float32 under autocast too, as when the denoiser is used."""
        with torch.autocast(images.device.type, enabled=False):
            return compute({self.config.network: self.network}, images, {self.config.network: self.config.taps})[
                self.config.network
            ]

    def measure(self, images: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """The squared error, in units of what the network must add to its input: (N,)."""
        noise, features, asked = self.config.noise, self.encode(images), self.asked
        drawn = torch.stack([torch.randn((), generator=one) for one in generators])
        sigma = (noise.mean + noise.spread * drawn).exp().to(self.device)
        chosen = [asked[int(torch.randint(len(asked), (), generator=one))] for one in generators]
        on = {tap: torch.tensor([float(one in (None, tap)) for one in chosen], device=self.device) for tap in features}
        y, s = 2 * images - 1, sigma.view(-1, 1, 1, 1)
        found = self.module(y + s * pure(self.dataset.size, generators, self.device), sigma, features, on)
        return ((found - y).square() * (s**2 + DATA**2) / (s * DATA) ** 2).flatten(1).mean(1)

    def loss(self, rows: list[int], generators: Sequence[torch.Generator]) -> dict[str, Tensor]:
        """The loss of augmented training images; features are those of the augmented image."""
        images = augment(self.pixels([self.train[row] for row in rows]), self.config.augment, generators)
        return {LOSS: self.measure(images, generators).mean()}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The loss, with the same noise at every validation, and the PSNR of predictions from pure noise."""
        found: list[dict[str, Tensor]] = []
        for rows in self.batches(self.val):
            images = self.pixels(rows)
            floor = images.mean((2, 3), keepdim=True).expand_as(images)
            values = {LOSS: self.measure(images, self._draws(rows)), "floor_own_mean": image.psnr(floor, images)}
            for tap in self.asked:
                made = self._made(rows, images, tap, steps=None)
                values["psnr" if tap is None else f"psnr_{tap}"] = image.psnr(made, images)
            found.append(values)
        return mean_metrics(found)

    def _draws(self, rows: Sequence[int]) -> list[torch.Generator]:
        return [generator(self.run.seed, "validation", row) for row in rows]

    def _made(self, rows: Sequence[int], images: Tensor, tap: str | None, steps: int | None) -> Tensor:
        denoise, noise = conditioned(self.module, self.encode(images), tap), self.config.noise
        unit = pure(self.dataset.size, self._draws(rows), self.device)
        return direct(denoise, unit, noise) if steps is None else sample(denoise, unit, noise, steps)

    @torch.no_grad()
    def preview(self) -> np.ndarray:
        """Validation images above samples conditioned on the last tap."""
        parts = []
        for rows in self.batches(self.val[:SHOWN]):
            images = self.pixels(rows)
            parts.append((images, self._made(rows, images, self.asked[-1], PREVIEW_STEPS)))
        return sheet_rows(parts)

    def facts(self) -> dict[str, Any]:
        return {"shapes": {tap: list(shape) for tap, shape in self.shapes.items()}}

    def summary(self, metrics: Mapping[str, float]) -> str:
        reached = ", ".join(f"{name} {value:.2f} dB" for name, value in metrics.items() if name != LOSS)
        return f"validation loss {metrics[LOSS]:.4f}; {reached}"
