"""A tiny Trainer of every kind, for 64 px (the smallest size of all networks)."""

from collections.abc import Callable
from typing import Any

from relume.core.config import entry
from relume.data.store import Dataset
from relume.methods.diffusion.config import DiffusionConfig
from relume.methods.diffusion.train import DiffusionTrainer
from relume.methods.gan.model import TrainedGan
from relume.methods.latent.config import MapperConfig
from relume.methods.latent.train import MapperTrainer
from relume.methods.surrogate.config import SurrogateConfig
from relume.methods.surrogate.train import SurrogateTrainer
from relume.training.trainer import Trainer
from tests import decoder_files, gan_files, landscape_files, toy_masked
from tests.decoder_files import setup, training
from tests.gan_files import dice, generator
from tests.latent_files import mapper_section

MAPPERS: dict[str, dict[str, Any]] = {
    "published": {"kind": "published", "width": 8},
    "residual": {"kind": "residual", "width": 32, "depth": 1, "grid": 4},
}
SURROGATES: dict[str, dict[str, Any]] = {
    "linear": {"kind": "linear", "grid": 2},
    "residual": {"kind": "residual", "grid": 2, "width": 8, "depth": 1, "dropout": 0.0},
}
PREDICTED = {
    "network": "alexnet_conv",
    "taps": ["conv5", "pool"],
    "features": "data/none",
    "target": {"network": "vgg16_conv", "tap": "pool", "features": "data/none"},
}
MOMENTS: dict[str, Any] = {"kind": "moments", "network": "vgg16_conv", "taps": ["conv1_2", "conv2_2"]}
MOMENTS |= {"pixels": None, "cells": 2, "pictures": 4}


def mapper(data: Dataset, kind: str = "residual", size: int = 64, made_by: str = "style", **differences: Any) -> MapperTrainer:
    section = mapper_section(taps=["conv3", "pool"])
    plain = section["shared"] | section["models"]["toy_mapper"]
    plain |= {"architecture": MAPPERS[kind], "losses": {"latent": 0.5, "pixel": 1.0, "feature": 0.25}}
    plain |= {"training": training(batch=4, log_every=2, learning_rate=1e-2)}
    config = entry(MapperConfig, plain, differences, "train_mapper")
    painter = generator(made_by, size).requires_grad_(False).train()
    for _ in range(20 if made_by == "dcgan" else 0):  # batch normalisation needs statistics
        painter(painter.draw(dice(*range(16))))
    painter.eval()
    painter.running_mean.copy_(painter.map(painter.draw(dice(*range(200, 264)))).mean(0))
    return MapperTrainer(setup(data, config), TrainedGan(card={"name": "toy"}, module=painter))


def surrogates(kind: str = "linear", **differences: Any) -> dict[str, Any]:
    """The section's `shared`."""
    plain = {
        "dataset": "toy",
        "architecture": SURROGATES[kind],
        "penalties": [0.01, 1.0],
        "losses": {"cosine": 1.0, "mse": 0.5},
        "training": training(),
        "validation": None,
    }
    return plain | differences


def surrogate(data: Dataset, kind: str = "linear", own: dict[str, Any] | None = None, **differences: Any) -> SurrogateTrainer:
    config = entry(SurrogateConfig, surrogates(kind, **differences), PREDICTED | (own or {}), "train_surrogate.models.toy")
    return SurrogateTrainer(setup(data, config))


def landscape(data: Dataset, **differences: Any) -> Trainer[Any]:
    plain = {"size": 16, "losses": landscape_files.PLAIN_LOSS, "architecture": {"rotated": True}, "relative": True}
    return landscape_files.trainer(data, **plain | differences)


DENOISED = {"network": "alexnet_conv", "taps": ["conv3", "pool"]}


def denoisers(**differences: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "dataset": "toy",
        "architecture": {"patch": 4, "widths": [8, 16], "features": 8, "depth": 1},
        "noise": {"mean": 0.0, "spread": 1.8, "least": 0.01, "most": 80.0},
        "alone": True,
        "augment": {"flip": True, "crop": 0.0, "colour": 0.0},
        "training": training(),
        "moments": 4,
        "validation": None,
    }
    return plain | differences


def denoiser(data: Dataset, own: dict[str, Any] | None = None, **differences: Any) -> DiffusionTrainer:
    config = entry(DiffusionConfig, denoisers(**differences), DENOISED | (own or {}), "train_diffusion.models.toy")
    return DiffusionTrainer(setup(data, config))


TRAINERS: dict[str, Callable[..., Trainer[Any]]] = {
    "decoder": lambda data, **own: decoder_files.toy(data, **own),
    "decoder_adversarial": lambda data, **own: decoder_files.toy(
        data, losses={"adversarial": 0.3}, **{"taps": ["conv3", "pool"], **own}
    ),
    "masked_noise": lambda data, **own: toy_masked.trainer(data, "et", architecture={"noise": 0.1}, **own),
    "masked_partners": lambda data, **own: toy_masked.trainer(data, "mixed", **own),
    "gan_least_squares": lambda data, **own: gan_files.trainer(data, "dcgan", **own),
    "gan_logistic": lambda data, **own: gan_files.trainer(data, "style", **own),
    "gan_moments": lambda data, **own: gan_files.trainer(data, "style", **{"objective": MOMENTS, **own}),
    "mapper": lambda data, **own: mapper(data, **own),
    "surrogate_linear": lambda data, **own: surrogate(data, **own),
    "surrogate_dropout": lambda data, **own: surrogate(data, architecture={**SURROGATES["residual"], "dropout": 0.5}, **own),
    "landscape": landscape,
    "diffusion": lambda data, **own: denoiser(data, **own),
    "diffusion_all_taps": lambda data, **own: denoiser(data, alone=False, **own),
}
ADVERSARIAL = ("decoder_adversarial", "gan_least_squares", "gan_logistic")
