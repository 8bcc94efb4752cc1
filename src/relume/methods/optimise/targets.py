"""Targets: the only part of an inversion with access to the originals. It returns their features; the images only for oracles."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.core.images import as_channels, resize, to_float
from relume.core.results import Group
from relume.data.store import Dataset
from relume.losses.objective import Activations, Objective, Taps
from relume.methods.optimise.config import InvertOptimise
from relume.methods.optimise.guide import Guide, fit
from relume.networks.network import Network
from relume.networks.taps import collect

BATCH = 16  # training images per forward pass


class Provider:
    """Features of a dataset's images, and the networks that compute them."""

    def __init__(self, dataset: Dataset, networks: Mapping[str, Network], device: torch.device, channels: int = 3) -> None:
        self.dataset, self.networks, self.device, self.channels = dataset, networks, device, channels

    def features(self, rows: Sequence[int], taps: Taps) -> dict[str, dict[str, Tensor]]:
        """network -> tap -> (N, …) for the images in `rows`."""
        return self._extract(self._images(rows), taps)

    def references(self, rows: Sequence[int], group: Group | None, taps: Taps) -> Activations:
        """network -> tap -> (N, m, …): of an earlier group's m reconstructions of each image."""
        if not taps:
            return {}
        if group is None:
            raise UserError("losses.ref: the recipe needs `reference`, the group for this term")
        positions = reconstructions(group, self.dataset.ids(list(rows)))
        parts = [self._extract(to_float(group.images[own]).to(self.device), taps) for own in positions]
        return {name: {tap: torch.stack([part[name][tap] for part in parts]) for tap in names} for name, names in taps.items()}

    def originals(self, rows: Sequence[int], objective: Objective) -> Tensor | None:
        """The images, for an oracle objective, which all tables mark; else None."""
        return self._images(rows) if objective.oracle else None

    def guide(self, config: InvertOptimise, size: int, watch: Callable[[range], Iterable[int]] = iter) -> Guide:
        """Fitted on the first images of the training split, resized to `size`. `watch`: a progress bar."""
        rows = self.dataset.select("train")[: config.terms.guide.pictures]
        taps = {config.network: tuple(config.taps)}
        batches = (resize(self._images(rows[at : at + BATCH]), size) for at in watch(range(0, len(rows), BATCH)))
        return fit(lambda images: self._extract(images, taps)[config.network], batches, config.terms.guide)

    @torch.no_grad()
    def _extract(self, images: Tensor, taps: Taps) -> dict[str, dict[str, Tensor]]:
        found: dict[str, dict[str, Tensor]] = {}
        for name, names in taps.items():
            with collect(self.networks[name], names) as tapped:
                found[name] = {tap: value.detach() for tap, value in tapped(images).items()}
        return found

    def _images(self, rows: Sequence[int]) -> Tensor:
        return as_channels(self.dataset.pixels(list(rows)), self.channels).to(self.device)


def select_method(group: Group, config: InvertOptimise, name: str) -> Group:
    """The group's rows of one method, for recipe `name`: its only method, or that with the recipe's taps."""
    methods = sorted({row["method"] for row in group.index})
    if len(methods) == 1:
        return group
    expected = (config.network, "+".join(config.taps))
    same = {row["method"] for row in group.index if (row["network"], row["tap"]) == expected}
    if len(same) != 1:
        fault = f"{len(same)} of them for {' '.join(expected)}: {name} needs exactly one"
        raise UserError(f"{group.folder} has several methods ({', '.join(methods)}), {fault}")
    positions = [position for position, row in enumerate(group.index) if row["method"] in same]
    return replace(group, images=group.images[positions], index=[group.index[position] for position in positions])


def reconstructions(group: Group, ids: Sequence[str]) -> list[list[int]]:
    """The indices of each image's reconstructions, the same number for each."""
    found: dict[str, list[int]] = {name: [] for name in ids}
    for position, row in enumerate(group.index):
        if row["id"] in found:
            found[row["id"]].append(position)
    missing = [name for name, positions in found.items() if not positions]
    if missing:
        raise UserError(f"{group.folder} has no image for {', '.join(missing[:5])}: it cannot be a reference")
    counts: Mapping[int, str] = {len(positions): name for name, positions in found.items()}
    if len(counts) > 1:
        raise UserError(f"{group.folder} has {sorted(counts)} reconstructions per image; needs the same number for each")
    return list(found.values())
