"""Toy denoisers for tests."""

from typing import Any

from relume.core.config import entry
from relume.data.store import Dataset
from relume.methods.diffusion.config import DiffusionConfig
from relume.methods.diffusion.train import DiffusionTrainer
from tests.decoder_files import setup, training

OWN = {"network": "alexnet_conv", "taps": ["conv3", "pool"]}


def shared(**differences: Any) -> dict[str, Any]:
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
    config = entry(DiffusionConfig, shared(**differences), OWN | (own or {}), "train_diffusion.models.toy")
    return DiffusionTrainer(setup(data, config))
