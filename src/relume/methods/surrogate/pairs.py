"""Training data of a surrogate: features of two networks for every image, computed before the first step."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from relume.data.store import Dataset
from relume.methods.surrogate.config import SurrogateConfig
from relume.methods.surrogate.model import Shapes, flattened, sides
from relume.networks.network import load
from relume.networks.store import cached, read_cache
from relume.networks.taps import compute
from relume.networks.weights import WeightStore

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
class Extractors:
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

    def batches(self, rows: Sequence[int]) -> Iterator[Sequence[int]]:
        return (rows[at : at + self.micro_batch] for at in range(0, len(rows), self.micro_batch))


@torch.no_grad()
def pairs(
    extractors: Extractors,
    config: SurrogateConfig,
    rows: Sequence[int],
    *,
    features: Path | None = None,
    target: Path | None = None,
) -> Pairs:
    """The pairs of these rows, in their order. `features`, `target`: folders of the cache."""
    see = extractors.see(config.network, config.taps, features)
    see_target = extractors.see(config.target.network, (config.target.tap,), target)
    first = see(rows[:1])
    shapes = {tap: tuple(first[tap].shape[1:]) for tap in config.taps}
    grid = sides(shapes, config.architecture.grid)
    inputs, outputs = [], []
    for part in extractors.batches(rows):
        inputs.append(flattened(see(part), grid))
        outputs.append(see_target(part)[config.target.tap])
    return Pairs(inputs=torch.cat(inputs), outputs=torch.cat(outputs), shapes=shapes)
