"""Data-parallel training under `torchrun`: each process takes a share of every batch, gradients are averaged. All hold the same
weights, so the number of processes changes only the order of sums, and batch normalisation."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from relume.core.errors import UserError
from relume.core.runtime import describe

T = TypeVar("T")
BACKENDS = {"cpu": "gloo", "cuda": "nccl"}


@dataclass(frozen=True)
class Ranks:
    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """The one that writes."""
        return self.rank == 0

    def describe(self, device: torch.device) -> str:
        """What a model's card says of where it was trained, and what a checkpoint is bound to."""
        return describe(device) + (f", {self.count} processes" if self.count > 1 else "")

    def check(self, batch: int, key: str = "batch") -> None:
        """Parts must be equal, so that the mean of means is the mean."""
        if batch % self.count:
            raise UserError(f"{key}: {batch} cannot be shared evenly by {self.count} processes: take a multiple of that")

    def share(self, batch: Sequence[T]) -> list[T]:
        """This process's part."""
        self.check(len(batch))
        return list(batch[self.rank :: self.count])

    def average(self, tensors: Sequence[Tensor]) -> None:
        """In place, over all processes, in one message."""
        if self.count == 1 or not tensors:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        torch.distributed.all_reduce(flat)
        parts = (flat / self.count).split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))


ALONE = Ranks()


def synced(module: nn.Module) -> list[Tensor]:
    """What processes learn apart unless it is averaged: gradients, and the running statistics of batch normalisation."""
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    return gradients + [buffer for name, buffer in module.named_buffers() if name.endswith(("running_mean", "running_var"))]


@contextmanager
def ranks(device: torch.device) -> Iterator[Ranks]:
    """The processes that the environment speaks of; one, where it speaks of none. With `cuda`, each has a GPU of its own."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE
        return
    if device.type not in BACKENDS:
        raise UserError(f"run.device: several processes train together on {' or '.join(BACKENDS)}, not on {device.type}")
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group(BACKENDS[device.type])
    try:
        yield Ranks(torch.distributed.get_rank(), count)
    finally:
        torch.distributed.destroy_process_group()
