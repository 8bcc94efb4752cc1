"""Toy masked models: parameters, a Trainer, models with random weights on disk."""

from pathlib import Path
from typing import Any

from relume.core.config import entry, merge
from relume.data.store import Dataset
from relume.methods.masked.config import MaskedConfig
from relume.methods.masked.train import MaskedTrainer
from tests.decoder_files import setup, training, write_trainer

STACK = {"width": 16, "depth": 1, "heads": 2}
TOKENS = {"kind": "tokenizer", "width": 8, "levels": [5, 5]}
ENERGY = {"kind": "energy_transformer", "width": 16, "heads": 2, "key": 8, "memories": 32, "steps": 2, "alpha": 0.5, "beta": 0.3}
MIXED = {"kind": "mixed_ae", "encoder": STACK, "decoder": STACK, "recognition": 0.1, "temperature": 0.25, "projection": 8}
MODELS: dict[str, dict[str, Any]] = {
    "codes": {"architecture": TOKENS, "tokenizer": "data/none"},
    "et": {"architecture": ENERGY, "tokenizer": "data/none"},
    "mae": {"architecture": {"kind": "mae", "encoder": STACK, "decoder": STACK, "norm_pix": True}},
    "mixed": {"architecture": MIXED},
    "beit": {
        "architecture": {"kind": "beit", "encoder": STACK, "tokenizer": TOKENS},
        "tokenizer": "models/masked/codes",
        "masks": {"pattern": "block", "ratio": 0.4},
    },
}
SHARED: dict[str, Any] = {
    "dataset": "toy",
    "masks": {"pattern": "random", "ratio": 0.75, "cell": 4},
    "augment": {"flip": True, "crop": 0.2, "colour": 0.0},
    "training": training(),
    "validation": None,
}


def trainer(data: Dataset, name: str = "et", **differences: Any) -> MaskedTrainer:
    return MaskedTrainer(setup(data, entry(MaskedConfig, SHARED, merge(MODELS[name], differences), "toy")))


def write_masked(folder: Path, data: Dataset, kind: str, name: str = "", **differences: Any) -> None:
    """`folder`/<name>, or `folder`/<kind>: one of MODELS, untrained."""
    write_trainer(folder / (name or kind), trainer(data, kind, **differences))
