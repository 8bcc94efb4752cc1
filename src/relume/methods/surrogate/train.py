"""Training of a surrogate, initialised by ridge regression. Baselines: the nearest training image's embedding, the mean."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from relume.data.store import Dataset, batches
from relume.losses import feature
from relume.methods.surrogate.config import SurrogateConfig
from relume.methods.surrogate.model import Draws, Shapes, SurrogateMap, flattened, ridge, sides
from relume.networks.network import load
from relume.networks.store import cached, read_cache
from relume.networks.taps import compute
from relume.networks.weights import WeightStore
from relume.training.models import Trained
from relume.training.optimiser import copied
from relume.training.trainer import LOSS, SHOWN, Setup, Trainer, mean_terms

Seen = dict[str, Tensor]  # tap -> features of a batch
See = Callable[[Sequence[int]], Seen]


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Tensors on the device."""

    inputs: Tensor  # (n, D): maps averaged to the grid
    outputs: Tensor  # (n, *shape)
    shapes: Shapes  # of the taps before averaging

    def some(self, indices: list[int]) -> "Pairs":
        return replace(self, inputs=self.inputs[indices], outputs=self.outputs[indices])


@dataclass(frozen=True, kw_only=True)
class FeatureReader:
    """Features of a dataset, from the cache or computed."""

    dataset: Dataset
    store: WeightStore
    device: torch.device
    micro_batch: int

    def see(self, network: str, taps: Sequence[str], folder: Path | None) -> See:
        """A function of rows -> features. `folder`: the cache, for taps that it has; other taps are computed."""
        cache = read_cache(folder, self.dataset, network, taps) if folder else {}
        if missing := tuple(tap for tap in taps if tap not in cache):
            loaded = load(network, self.store, self.device)

            def computed(rows: Sequence[int]) -> Seen:
                images = self.dataset.pixels(list(rows)).to(self.device)
                found = compute({network: loaded}, images, {network: missing})[network]
                return found | cached(cache, rows, self.device)

            return computed
        return partial(cached, cache, device=self.device)


@torch.no_grad()
def pairs(
    reader: FeatureReader,
    config: SurrogateConfig,
    rows: Sequence[int],
    *,
    features: Path | None = None,
    target: Path | None = None,
) -> Pairs:
    """The pairs of these rows, in their order. `features`, `target`: folders of the cache."""
    see = reader.see(config.network, config.taps, features)
    see_target = reader.see(config.target.network, (config.target.tap,), target)
    first = see(rows[:1])
    shapes = {tap: tuple(first[tap].shape[1:]) for tap in config.taps}
    grid = sides(shapes, config.architecture.grid)
    inputs, outputs = [], []
    for part in batches(rows, reader.micro_batch):
        inputs.append(flattened(see(part), grid))
        outputs.append(see_target(part)[config.target.tap])
    return Pairs(inputs=torch.cat(inputs), outputs=torch.cat(outputs), shapes=shapes)


class SurrogateTrainer(Trainer[SurrogateConfig]):
    """`features`, `target`: folders of cached features of the inputs and of the target."""

    kind = "surrogate"
    module: SurrogateMap

    def __init__(self, setup: Setup[SurrogateConfig], features: Path | None = None, target: Path | None = None) -> None:
        super().__init__(setup)
        reader = FeatureReader(dataset=self.dataset, store=self.store, device=self.device, micro_batch=self.run.micro_batch)
        self.learned, self.held = (
            pairs(reader, self.config, rows, features=features, target=target) for rows in (self.train, self.val)
        )
        with self.seeded():
            outputs = self.learned.outputs.shape[1:]
            self.module = SurrogateMap(self.learned.shapes, outputs, self.config.architecture).to(self.device)
        self.penalty, ridge_similarity = self.initialise()
        self.initial = copied(self.module.state_dict())
        # mean cosine to the true embedding in validation, of the ridge regression and the baselines
        self.known = {"ridge": ridge_similarity}
        for name, seen in floors(self.module, self.learned, self.held).items():
            self.known[name] = similarity(seen, self.held.outputs)

    @torch.no_grad()
    def initialise(self) -> tuple[float, float]:
        """Sets the moments and the ridge regression that is best in validation. Returns its penalty and mean cosine."""
        module, learned = self.module, self.learned
        module.set_moments(learned.inputs, learned.outputs.flatten(1))
        x, y = module.standard(learned.inputs), module.standard_out(learned.outputs)
        found: dict[float, tuple[float, Tensor]] = {}
        for penalty in self.config.penalties:
            weight = ridge(x, y, penalty)
            module.set_linear(weight)
            found[penalty] = float(self.measure(self.held)[LOSS].mean()), weight
        best = min(found, key=lambda penalty: found[penalty][0])
        module.set_linear(found[best][1])
        return best, self.similarity()

    def similarity(self) -> float:
        return similarity(self.module.predict(self.held.inputs), self.held.outputs)

    def measure(self, of: Pairs, draws: Draws | None = None) -> dict[str, Tensor]:
        """All terms with a weight, and their weighted sum: (N,). `draws`: for dropout in training."""
        true, predicted = of.outputs, self.module.predict(of.inputs, draws)
        weights, found = asdict(self.config.losses), {}
        if weights["cosine"] > 0:
            found["cosine"] = feature.cosine(predicted, true)
        if weights["mse"] > 0:
            found["mse"] = feature.dim_mse(self.module.standard_out(predicted), self.module.standard_out(true))
        return {LOSS: torch.stack([weights[name] * value for name, value in found.items()]).sum(0), **found}

    def loss(self, rows: list[int], generators: Draws) -> dict[str, Tensor]:
        """On a batch of training images, without augmentation."""
        return mean_terms(self.measure(self.learned.some(rows), generators))

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """On validation images: terms, and mean cosines of the surrogate, the ridge regression and the baselines."""
        means = {name: float(value.double().mean()) for name, value in self.measure(self.held).items()}
        return {**means, "similarity": self.similarity(), **self.known}

    def finish(self, trained: Trained) -> Trained:
        """The best weights, or the initial ones if they are no worse in validation."""
        best = copied(self.module.state_dict())
        self.module.load_state_dict(self.initial)
        metrics = self.validate()
        if metrics[LOSS] <= trained.metrics[LOSS]:
            initial = {name: value.cpu() for name, value in self.initial.items()}
            return replace(trained, best=initial, best_step=0, metrics=metrics)
        self.module.load_state_dict(best)
        return trained

    @torch.no_grad()
    def preview(self) -> np.ndarray:
        """Validation images, then the training images with the nearest embedding to the predicted."""
        predicted = self.module.standard_out(self.module.predict(self.held.inputs[:SHOWN]))
        found = nearest(predicted, self.module.standard_out(self.learned.outputs)).tolist()
        images = self.dataset.images
        return np.stack([images[self.val[:SHOWN]], images[[self.train[place] for place in found]]])

    def facts(self) -> dict[str, Any]:
        shapes = {tap: list(shape) for tap, shape in self.learned.shapes.items()}
        return {"penalty": self.penalty, "shapes": shapes, "shape": list(self.learned.outputs.shape[1:])}

    def summary(self, metrics: Mapping[str, float]) -> str:
        cosines = ", ".join(f"{name} {metrics[name]:.3f}" for name in ("similarity", *self.known))
        return f"cosine in validation: {cosines}"


def similarity(values: Tensor, outputs: Tensor) -> float:
    """The mean cosine."""
    return float((1 - feature.cosine(values, outputs)).double().mean())


@torch.no_grad()
def floors(module: SurrogateMap, learned: Pairs, held: Pairs) -> dict[str, Tensor]:
    """Baselines: the true embedding of the nearest training image, and the mean one: (N, *shape)."""
    mean = learned.outputs.mean(0, keepdim=True)
    return {
        "floor_nearest": learned.outputs[nearest(module.standard(held.inputs), module.standard(learned.inputs))],
        "floor_mean": mean.expand_as(held.outputs),
    }


def nearest(x: Tensor, others: Tensor) -> Tensor:
    """For each of x (N, D) the index of the most similar row of others (M, D), by cosine: (N,)."""
    return (F.normalize(x.flatten(1), dim=1) @ F.normalize(others.flatten(1), dim=1).T).argmax(1)
