"""Toy decoders for tests: a network with random weights, a tiny dataset, a section of parameters."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from relume.core.config import build, entry
from relume.core.errors import UserError
from relume.core.run import Run
from relume.data.store import Dataset
from relume.losses.perceptual import LPIPS_TAPS
from relume.methods.decoder.config import DecoderConfig
from relume.methods.decoder.train import DecoderTrainer
from relume.networks import network as networks
from relume.networks.extract import ForwardPass, Pictures, extract
from relume.params import SECTIONS
from relume.training.models import Trained, write_model
from relume.training.ranks import Ranks
from relume.training.trainer import C, Setup, Trainer
from tests.evaluation_files import write_dataset

SIZE = 64
CPU = torch.device("cpu")
RUN = Run(seed=0, device="cpu", precision="float32", threads=1, micro_batch=2)


def shared(**differences: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "dataset": "toy",
        "architecture": {"kind": "multi_scale", "width": 8, "finest": None},
        "losses": {"pixel": 1.0, "lpips": 0.0, "feature": 0.0, "adversarial": 0.0},
        "measures": {"pixel": "mse", "lpips": {"network": "alex"}, "adversarial": {"learning_rate": 1e-3, "width": 8}},
        "augment": {"flip": True, "crop": 0.2, "colour": 0.0},
        "training": training(),
        "moments": 4,
        "validation": None,
    }
    return plain | differences


def training(**differences: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "steps": 6,
        "batch": 2,
        "optimiser": "adamw",
        "betas": [0.9, 0.99],
        "learning_rate": 1e-3,
        "weight_decay": 1e-4,
        "schedule": {"kind": "cosine", "final": 0.1},
        "warmup": 2,
        "clip": 1.0,
        "ema": 0.9,
        "log_every": 1,
        "validate_every": 2,
    }
    return plain | differences


def entries(key: str, section: dict[str, Any]) -> dict[str, Any]:
    """The models of a section `train_…`, each as its dataclass."""
    found, models, faults = SECTIONS[key], {}, []
    for name in found.entries(build(found.cls, section, key)):
        try:
            models[name], _ = found.built({key: section}, {}, name)
        except UserError as error:
            faults.append(str(error))
    if faults:
        raise UserError("\n".join(faults))
    return models


def extracted(folder: Path, data: Dataset, sample: list[int], *, budget_mb: float = 1) -> Path:
    """Features of alexnet_conv with random weights. 1 MiB is room for all taps except the first two."""
    through = ForwardPass(network=networks.random("alexnet_conv"), device=CPU, micro_batch=4)
    pictures = Pictures(dataset=data.name, images=data.images, sample=sample, split="train")
    extract(through, pictures, folder, budget_mb=budget_mb)  # type: ignore[arg-type]
    return folder


def settings(**differences: Any) -> DecoderConfig:
    own = {"network": "alexnet_conv", "taps": ["conv3"], **differences}
    return entry(DecoderConfig, shared(), own, "train_decoder.decoders.toy")


class Store:
    """A WeightStore with random weights."""

    given: dict[str, networks.Network] = {}

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        if name.startswith("lpips_"):
            taps = LPIPS_TAPS[name.removeprefix("lpips_")]
            facts = networks.facts_of(taps[0])
            return {f"{i}": torch.full((facts.taps[tap].channels,), 0.01) for i, tap in enumerate(taps[1])}
        return networks.random(name).body.state_dict()


def dataset(folder: Path) -> Dataset:
    return write_dataset(folder / "toy", size=SIZE)


def setup(data: Dataset, config: C, **differences: Any) -> Setup[C]:
    """The setup of a Trainer named `toy`."""
    plain: dict[str, Any] = {"name": "toy", "run": RUN, "dataset": data, "store": Store(), "device": CPU}
    return Setup(config=config, **plain | differences)


def toy(data: Dataset, folder: Path | None = None, **differences: Any) -> DecoderTrainer:
    return DecoderTrainer(setup(data, settings(**differences)), folder)


def write_untrained(folder: Path, tensors: Mapping[str, torch.Tensor], card: Mapping[str, Any], samples: np.ndarray) -> None:
    """A model folder with these tensors, named after the folder."""
    held = dict(tensors)
    trained = Trained(best=held, last=held, best_step=1, metrics={}, history=[], timing=[], progress=None)
    write_model(folder, trained, {**card, "name": folder.name}, samples)


def write_trainer(folder: Path, trainer: Trainer[Any]) -> None:
    """The untrained model of a Trainer."""
    write_untrained(folder, trainer.module.state_dict(), trainer.card(), trainer.samples())


def write_decoder(folder: Path, data: Dataset, taps: list[str]) -> None:
    write_trainer(folder, toy(data, taps=taps))


def together(count: int) -> Callable[[torch.device], AbstractContextManager[Ranks]]:
    """The first of `count` processes; the others need not exist while nothing is averaged."""
    return lambda device: nullcontext(Ranks(0, count))
