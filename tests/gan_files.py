"""Small generators for tests."""

from typing import Any

import torch
from torch import nn

from relume.core.config import build, entry
from relume.data.store import Dataset
from relume.methods.gan import model as gans
from relume.methods.gan.config import GanArchitecture, GanConfig
from relume.methods.gan.generator import Generator
from relume.methods.gan.train import GanTrainer
from relume.methods.optimise.config import Latent
from tests.decoder_files import setup, training

SIZE = 16
DUELS: dict[str, dict[str, Any]] = {
    "dcgan": {"kind": "least_squares", "label": 0.9, "history": 6},
    "style": {"kind": "logistic", "r1": 1.0, "r1_every": 2, "path_length": 2.0, "path_every": 2},
}
KINDS: dict[str, dict[str, Any]] = {
    "dcgan": {"kind": "dcgan", "latent": 6, "width": 8},
    "style": {"kind": "style", "latent": 6, "style": 5, "mapping": 2, "width": 4, "widest": 8},
}


def architecture(name: str, **differences: Any) -> Any:
    return build(GanArchitecture, KINDS[name] | differences, "architecture")


def generator(kind: str, size: int = SIZE, **differences: Any) -> Generator:
    """With random weights, in eval mode, with noise strength 0.1."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = gans.generator(architecture(kind, **differences), size)
    for name, weights in made.named_parameters():
        if name.endswith("strength"):
            nn.init.constant_(weights, 0.1)
    return made.eval()


def discriminator(kind: str, size: int = SIZE, **differences: Any) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return gans.discriminator(architecture(kind, **differences), size).eval()


def dice(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def shared(**differences: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "dataset": "toy",
        "architecture": KINDS["style"],
        "objective": DUELS["style"],
        "discriminator_rate": 1e-3,
        "discriminator_betas": [0.0, 0.99],
        "diff_augment": {"colour": True, "translate": 0.125, "cutout": 0.5},
        "augment": {"flip": True, "crop": 0.0, "colour": 0.0},
        "training": training(batch=4, log_every=2, betas=[0.0, 0.99], clip=None),
        "metric_network": {"network": "alexnet_conv", "tap": "conv1"},
        "samples": 4,
        "validation": None,
        "withheld": 0,
        "drawn": {"count": 6, "walks": 2, "steps": 3, "truncation": 0.7},
    }
    return plain | differences


def trainer(data: Dataset, kind: str, **differences: Any) -> GanTrainer:
    """On images large enough for the metric network."""
    own = {"architecture": KINDS[kind], "objective": DUELS[kind], **differences}
    return GanTrainer(setup(data, entry(GanConfig, shared(), own, "train_gan.models.toy")))


def latent(space: str, **differences: Any) -> Latent:
    plain = {"kind": "latent", "space": space, "start": "random", "noise": False}
    return build(Latent, plain | differences, "parametrisation")
