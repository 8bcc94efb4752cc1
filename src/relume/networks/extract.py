"""Extracts the features of a dataset: statistics of all taps over a sample, and the small taps of all images within a budget."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.core.files import atomic_folder, write_json
from relume.core.images import to_float
from relume.core.results import mapped
from relume.data.store import batches
from relume.networks.network import Network
from relume.networks.store import STATS
from relume.networks.taps import collect

Shapes = dict[str, tuple[int, ...]]
MIB = 2**20
PIECE = 2**14  # numbers of an image


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """The images of a dataset, and the rows of the sample for the statistics."""

    dataset: str
    images: np.ndarray  # uint8 (N, H, W, 3)
    sample: Sequence[int]
    split: str  # of the sample: `train`, or `all` if there is no train split
    kept: Sequence[int] | None = None  # rows whose small taps are saved; None: all


@dataclass(frozen=True, kw_only=True)
class ForwardPass:
    """A network with its device, batch size and precision."""

    network: Network
    device: torch.device
    micro_batch: int
    precision: AbstractContextManager[Any] = nullcontext()

    def stream(
        self, images: np.ndarray, rows: Sequence[int], taps: Sequence[str]
    ) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
        """Yields rows and their features, one micro-batch at a time."""
        with collect(self.network, taps) as tapped:
            for batch in batches(rows, self.micro_batch):
                with torch.no_grad(), self.precision:
                    values = tapped(to_float(images[batch]).to(self.device))
                yield batch, values


class Statistics:
    """Running sums in float64, so one pass gives the mean and variance of all taps. Values are read in the order of memory, a
    piece that fits the processor's cache at a time."""

    def __init__(self, shapes: Shapes, device: torch.device) -> None:
        sums_device = torch.device("cpu") if device.type == "mps" else device  # MPS has no float64
        zeros = partial(torch.zeros, dtype=torch.float64, device=sums_device)
        self.shapes, self.n = shapes, 0
        self.total = {tap: zeros(math.prod(shape)) for tap, shape in shapes.items()}  # sum of x, in the order of memory
        self.lengths = {tap: zeros(2) for tap in shapes}  # sums of |x| and of |x|^2
        self._wide = zeros(0)  # a reused buffer

    def add(self, values: Mapping[str, Tensor]) -> None:
        for tap, total in self.total.items():
            value = values[tap]
            flat = (value.movedim(1, -1) if value.ndim == 4 else value).flatten(1)  # maps have their channels last in memory
            square = total.new_zeros(len(flat))
            if len(self._wide) < len(flat) * PIECE:
                self._wide = total.new_empty(len(flat) * PIECE)
            for piece, sums in zip(flat.split(PIECE, dim=1), total.split(PIECE), strict=True):
                wide = self._wide[: piece.numel()].view(piece.shape).copy_(piece)
                sums += wide.sum(0)
                square += torch.linalg.vector_norm(wide, dim=1).square()
            self.lengths[tap] += torch.stack([square.sqrt().sum(), square.sum()])
        self.n += len(flat)

    def of(self, tap: str) -> dict[str, Any]:
        """msd = E |x - mean|^2 = E |x|^2 - |mean|^2 over all coordinates, at least 0 despite rounding."""
        norm, square = (self.lengths[tap] / self.n).tolist()
        msd = max(square - float((self.total[tap] / self.n).square().sum()), 0.0)
        return {"shape": list(self.shapes[tap]), "mean_norm": norm, "msd": msd}


def extract(forward: ForwardPass, pictures: Pictures, folder: Path, *, budget_mb: int) -> None:
    """Writes `folder` atomically. A budget of 0 keeps statistics only."""
    images, sample = pictures.images, pictures.sample
    if len(sample) < 2:
        raise UserError(f"{pictures.dataset}: needs 2 images of {pictures.split}, the dataset has {len(sample)}")
    taps = list(forward.network.facts.taps)
    _, first = next(forward.stream(images, sample[:1], taps))
    shapes = {tap: tuple(value.shape[1:]) for tap, value in first.items()}
    statistics = Statistics(shapes, forward.device)
    with atomic_folder(folder) as temporary:
        kept = range(len(images)) if pictures.kept is None else pictures.kept
        positions = {row: position for position, row in enumerate(kept)}
        files = {
            tap: mapped(temporary / f"{tap}.npy", (len(kept), *shapes[tap]), np.float16)
            for tap in within_budget(shapes, len(kept), budget_mb)
        }
        for rows, values in forward.stream(images, sample, taps):
            statistics.add(values)
            _keep(files, positions, rows, values)
        others = sorted(set(kept) - set(sample)) if files else []
        for rows, values in forward.stream(images, others, list(files)):
            _keep(files, positions, rows, values)
        for file in files.values():
            file.flush()
        about = {
            "dataset": pictures.dataset,
            "network": forward.network.facts.name,
            "pictures": len(images),
            "kept": None if pictures.kept is None else list(pictures.kept),
            "split": pictures.split,  # of the statistics: its first n images
            "n": len(sample),
            "order": taps,
            "taps": {tap: {**statistics.of(tap), "cached": tap in files} for tap in taps},
        }
        write_json(temporary / STATS, about)


def within_budget(shapes: Shapes, pictures: int, budget_mb: int) -> list[str]:
    """The taps whose float16 values for all images fit, smallest first. Returns them in the network's order."""
    remaining, kept = budget_mb * MIB, set()
    for tap in sorted(shapes, key=lambda tap: int(np.prod(shapes[tap]))):
        remaining -= 2 * int(np.prod(shapes[tap])) * pictures
        if remaining < 0:
            break
        kept.add(tap)
    return [tap for tap in shapes if tap in kept]


def _keep(files: Mapping[str, np.memmap], positions: Mapping[int, int], rows: list[int], values: Mapping[str, Tensor]) -> None:
    selected = [at for at, row in enumerate(rows) if row in positions]
    for tap, file in files.items():
        half = values[tap][selected].half().cpu().numpy()
        if not np.isfinite(half).all():
            raise UserError(
                f"tap {tap}: features of images {rows[0]} to {rows[-1]} are NaN or Inf in float16: lower extract.budget_mb"
            )
        file[[positions[rows[at]] for at in selected]] = half
