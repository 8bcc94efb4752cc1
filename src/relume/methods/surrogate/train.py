"""Training a surrogate: a map from one network's features to what another sees, begun at ridge regression in closed form.

Beside it two floors: the embedding of the training picture whose features are most alike, and the mean embedding.
"""

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from relume.core.errors import UserError
from relume.core.images import grid
from relume.core.run import Run
from relume.core.runtime import seed_of
from relume.data.store import Dataset
from relume.losses import feature
from relume.methods.surrogate.config import SurrogateConfig
from relume.methods.surrogate.model import Draws, SurrogateMap, ridge
from relume.methods.surrogate.pairs import Eyes, Pairs, pairs
from relume.networks.weights import WeightStore
from relume.training.ema import State, copied
from relume.training.loop import LOSS, Task
from relume.training.models import Trained

SHOWN = 8  # pictures on a sheet


@dataclass(frozen=True, kw_only=True)
class SurrogateLesson:
    """Everything that a surrogate is trained with, and the surrogate. Rows are numbers of the dataset."""

    name: str
    config: SurrogateConfig
    dataset: Dataset
    device: torch.device
    train: list[int]
    val: list[int]
    learned: Pairs  # of the training pictures
    held: Pairs  # of those for validation
    module: SurrogateMap
    penalty: float  # of the ridge that it begins at
    begun: State  # its weights then
    known: dict[str, float]  # mean cosine to the true embedding in validation: of that ridge and of the floors

    def task(self) -> Task:
        return Task(
            name=self.name,
            module=self.module,
            device=self.device,
            count=len(self.train),
            loss=partial(loss, self),
            validate=partial(validate, self),
            look=partial(progress, self),
        )


def surrogate_lesson(
    *,
    name: str,
    config: SurrogateConfig,
    run: Run,
    dataset: Dataset,
    store: WeightStore,
    device: torch.device,
    features: Path | None = None,
    target: Path | None = None,
) -> SurrogateLesson:
    """Features gathered, the map built to their shapes and begun. `features`, `target`: folders where features may be kept."""
    if dataset.name != config.dataset:
        raise UserError(f"surrogate {name} is to learn from {config.dataset}, but --images holds {dataset.name}")
    train, val = dataset.select("train"), dataset.select("val", config.validation)
    eyes = Eyes(dataset=dataset, store=store, device=device, micro_batch=run.micro_batch)
    learned, held = (pairs(eyes, config, rows, features=features, target=target) for rows in (train, val))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(run.seed, "surrogate", name))
        module = SurrogateMap(learned.shapes, learned.outputs.shape[1:], config.architecture).to(device)
    penalty, reached = begin(module, config, learned, held)
    known = {name: similarity(seen, held.outputs) for name, seen in floors(module, learned, held).items()}
    return SurrogateLesson(
        name=name,
        config=config,
        dataset=dataset,
        device=device,
        train=train,
        val=val,
        learned=learned,
        held=held,
        module=module,
        penalty=penalty,
        begun=copied(module.state_dict()),
        known={"ridge": reached, **known},
    )


@torch.no_grad()
def begin(module: SurrogateMap, config: SurrogateConfig, learned: Pairs, held: Pairs) -> tuple[float, float]:
    """Moments, and of the ridges the one that is best in validation: its penalty, and the mean cosine that it reaches there."""
    module.set_moments(learned.inputs, learned.outputs.flatten(1))
    x, y = module.standard(learned.inputs), module.standard_out(learned.outputs)
    found: dict[float, tuple[float, Tensor]] = {}
    for penalty in config.penalties:
        weight = ridge(x, y, penalty)
        module.set_linear(weight)
        found[penalty] = float(measure(module, config, held)[LOSS].mean()), weight
    best = min(found, key=lambda penalty: found[penalty][0])
    module.set_linear(found[best][1])
    return best, similarity(module.predict(held.inputs), held.outputs)


def similarity(values: Tensor, outputs: Tensor) -> float:
    """The mean cosine."""
    return float((1 - feature.cosine(values, outputs)).double().mean())


@torch.no_grad()
def floors(module: SurrogateMap, learned: Pairs, held: Pairs) -> dict[str, Tensor]:
    """What needs no surrogate: the true embedding of the nearest training picture, and the mean one: (N, *shape)."""
    mean = learned.outputs.mean(0, keepdim=True)
    return {
        "floor_nearest": learned.outputs[nearest(module.standard(held.inputs), module.standard(learned.inputs))],
        "floor_mean": mean.expand_as(held.outputs),
    }


def nearest(x: Tensor, others: Tensor) -> Tensor:
    """The places of those of the others (M, D) that are most alike, by cosine, to each of (N, D): (N,)."""
    return (F.normalize(x.flatten(1), dim=1) @ F.normalize(others.flatten(1), dim=1).T).argmax(1)


def measure(module: SurrogateMap, config: SurrogateConfig, of: Pairs, draws: Draws | None = None) -> dict[str, Tensor]:
    """Every term of weight, and their weighted sum, of the pairs: (N,). With draws as in training: numbers are dropped."""
    true, predicted = of.outputs, module.predict(of.inputs, draws)
    found = {}
    if config.losses.cosine > 0:
        found["cosine"] = feature.cosine(predicted, true)
    if config.losses.mse > 0:
        found["mse"] = feature.dim_mse(module.standard_out(predicted), module.standard_out(true))
    weights = asdict(config.losses)
    return {LOSS: torch.stack([weights[name] * value for name, value in found.items()]).sum(0), **found}


def loss(lesson: SurrogateLesson, rows: list[int], generators: Draws) -> dict[str, Tensor]:
    """Means over a batch of training pictures, as they are."""
    found = measure(lesson.module, lesson.config, lesson.learned.some(rows), generators)
    return {name: value.mean() for name, value in found.items()}


@torch.no_grad()
def validate(lesson: SurrogateLesson) -> dict[str, float]:
    """Means over the validation pictures: terms; and mean cosines, of the surrogate and of what it is held against."""
    found = measure(lesson.module, lesson.config, lesson.held)
    means = {name: float(value.double().mean()) for name, value in found.items()}
    return {**means, "similarity": similarity(lesson.module.predict(lesson.held.inputs), lesson.held.outputs), **lesson.known}


def settled(lesson: SurrogateLesson, trained: Trained) -> Trained:
    """The best of the training, or the ridge that it began at, where that was no worse in validation: the module has its weights.

    With few pictures nothing beats the closed form.
    """
    best = copied(lesson.module.state_dict())
    lesson.module.load_state_dict(lesson.begun)
    metrics = validate(lesson)
    if metrics[LOSS] <= trained.metrics[LOSS]:
        begun = {name: value.cpu() for name, value in lesson.begun.items()}
        return replace(trained, best=begun, best_step=0, metrics=metrics)
    lesson.module.load_state_dict(best)
    return trained


@torch.no_grad()
def progress(lesson: SurrogateLesson) -> np.ndarray:
    """Validation pictures over the training pictures whose embedding is nearest to the predicted: uint8 (2, K, H, W, 3)."""
    module = lesson.module
    predicted = module.standard_out(module.predict(lesson.held.inputs[:SHOWN]))
    found = nearest(predicted, module.standard_out(lesson.learned.outputs)).tolist()
    images = lesson.dataset.images
    return np.stack([images[lesson.val[:SHOWN]], images[[lesson.train[place] for place in found]]])


def sheet(lesson: SurrogateLesson) -> np.ndarray:
    """The same as one picture, uint8 (H, W, 3)."""
    return grid(progress(lesson))


def card(lesson: SurrogateLesson) -> dict[str, Any]:
    """What a surrogate's `model.json` says, beside how its training went and where."""
    return {
        "kind": "surrogate",
        "name": lesson.name,
        "config": asdict(lesson.config),
        "penalty": lesson.penalty,
        "shapes": {tap: list(shape) for tap, shape in lesson.learned.shapes.items()},
        "shape": list(lesson.learned.outputs.shape[1:]),
        "size": lesson.dataset.size,
        "data": {"dataset": lesson.dataset.name, "train": len(lesson.train), "val": len(lesson.val)},
        "parameters": sum(weights.numel() for weights in lesson.module.parameters()),
    }
