"""Targets: the one room of an inversion that sees the pictures. It gives their features; the picture itself to oracles alone."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from relume.data.store import Dataset
from relume.features.networks import Network, load
from relume.features.taps import collect
from relume.features.weights import WeightStore
from relume.losses.objective import Activations, Objective


class Provider:
    """Features of a dataset's pictures, and the networks that computed them, loaded once."""

    def __init__(self, dataset: Dataset, weights: WeightStore, networks: Iterable[str], device: torch.device) -> None:
        self.dataset = dataset
        self.device = device
        self.networks: dict[str, Network] = {name: load(name, weights, device) for name in networks}

    @torch.no_grad()
    def features(self, rows: Sequence[int], needs: Mapping[str, tuple[str, ...]]) -> Activations:
        """network -> tap -> (N, …) for the pictures in `rows`."""
        images = self._images(rows)
        found: dict[str, dict[str, Tensor]] = {}
        for name, taps in needs.items():
            with collect(self.networks[name], taps) as tapped:
                found[name] = {tap: value.detach() for tap, value in tapped(images).items()}
        return found

    def originals(self, rows: Sequence[int], objective: Objective) -> Tensor | None:
        """The pictures, for an objective that is an oracle and is marked so in every table."""
        return self._images(rows) if objective.oracle else None

    def _images(self, rows: Sequence[int]) -> Tensor:
        return self.dataset.pixels(list(rows)).to(self.device)
