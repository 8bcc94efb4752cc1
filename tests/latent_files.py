"""A toy project for the stages of latents: a dataset, a generator with random weights, parameters of mappers and of a group."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.decoder_files import training, write_untrained
from tests.gan_files import KINDS, dice, generator

SIZE, PAINTED = 64, 16  # px of the dataset and of the generator
GENERATOR, MAPPER = "models/gan/toy", "models/mapper/toy_mapper"


def write_gan(folder: Path, kind: str = "style", size: int = PAINTED) -> Path:
    """An untrained generator with a mean latent."""
    made = generator(kind, size)
    with torch.no_grad():
        made.running_mean.copy_(made.map(made.draw(dice(*range(200, 264)))).mean(0))
    card = {"kind": "gan", "size": size, "data": {"dataset": "toy"}, "config": {"architecture": KINDS[kind]}}
    write_untrained(folder, made.state_dict(), card, np.zeros((4, 4, 3), np.uint8))
    return folder


def mapper_section(**own: Any) -> dict[str, Any]:
    shared = {
        "dataset": "toy",
        "space": "w",
        "architecture": {"kind": "residual", "width": 16, "depth": 1, "grid": 2},
        "losses": {"latent": 0.5, "pixel": 1.0, "feature": 0.0},
        "augment": {"flip": True, "crop": 0.0, "colour": 0.0},
        "training": training(learning_rate=1e-2),
        "validation": None,
    }
    model = {"generator": GENERATOR, "network": "alexnet_conv", "taps": ["conv3"]}
    return {"shared": shared, "models": {"toy_mapper": {**model, **own}}}


def latent(space: str = "w", start: str = "mean", **differences: Any) -> dict[str, Any]:
    return {"kind": "latent", "space": space, "start": start, "noise": False, **differences}


def group(**differences: Any) -> dict[str, Any]:
    base = {
        "dataset": "toy",
        "count": 3,
        "taps": {"conv3": 1.0},
        "parametrisation": latent(),
        "init": {"base": "grey", "mean": 0.5, "std": 0.0, "noising": 0.0},
        "optimiser": {"rule": "adam", "learning_rate": [[0, 0.05]], "warmup": 0, "cosine": False},
        "steps": 6,
        "trace_every": 2,
    }
    methods: dict[str, Any] = {
        "from_mean": {},
        "from_mapper": {"parametrisation": latent("w_plus", "given")},
        "hybrid": {"switches": [[3, {"kind": "pixels", "box": "projection"}]], "losses": {"tv": 0.2}},
    }
    plain = {"generator": GENERATOR, "mapper": MAPPER, "losses": {"feature": 1.0, "tv": 0.1}, "base": base, "methods": methods}
    return plain | differences
