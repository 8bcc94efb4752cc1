"""Toy landscapes for tests: a generator with random weights, tiny pictures, a section of parameters."""

from typing import Any

from relume.core.config import entry
from relume.data.store import Dataset
from relume.methods.gan.model import TrainedGan
from relume.methods.landscape.config import LandscapeConfig
from relume.methods.landscape.train import LandscapeTrainer
from tests.decoder_files import setup, training
from tests.gan_files import dice, generator

SIDE = 32
OWN = {"generator": "models/gan/toy"}
PLAIN_LOSS = {"mse": 1.0, "lpips": 0.0}  # needs no network


def shared(**differences: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "dataset": "toy",
        "space": "w",
        "architecture": {"hidden": [16], "residual": True, "rotated": False},
        "losses": {"mse": 1.0, "lpips": 1.0},
        "measures": {"lpips": {"network": "alex"}},
        "relative": False,
        "descents": {"steps": 3, "learning_rate": 0.1, "betas": [0.9, 0.999], "start": 1.0, "per_batch": 2},
        "replay": 4,
        "training": training(batch=3, log_every=2, clip=10.0),
        "validation": None,
    }
    return plain | differences


def gan(kind: str = "style", size: int = SIDE) -> TrainedGan:
    """A frozen generator with a mean latent."""
    painter = generator(kind, size).requires_grad_(False)
    painter.running_mean.copy_(painter.map(painter.draw(dice(*range(64)))).mean(0))
    return TrainedGan(card={"name": "toy"}, module=painter)


def trainer(data: Dataset, size: int = SIDE, trained: TrainedGan | None = None, **differences: Any) -> LandscapeTrainer:
    config = entry(LandscapeConfig, shared(), OWN | differences, "train_landscape.models.toy")
    return LandscapeTrainer(setup(data, config), trained or gan(size=size))


def group(**differences: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "dataset": "toy",
        "split": "test",
        "count": 3,
        "generator": "models/gan/toy",
        "landscape": "models/landscape/toy",
        "mapper": "data/none",
        "seeds": [0, 5],
        "interval": {"resamples": 200, "level": 0.9},
        "methods": {
            "plain": {"start": "noise", "theta": False, "steps": 4, "learning_rate": 0.1, "betas": [0.9, 0.999]},
            "landscape": {"start": "noise", "theta": True, "steps": 2, "learning_rate": 0.1, "betas": [0.9, 0.999]},
        },
    }
    return plain | differences
