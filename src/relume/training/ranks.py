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
        """Whether this process writes."""
        return self.rank == 0

    def describe(self, device: torch.device) -> str:
        """The device as in the model's card and the checkpoint's key."""
        return describe(device) + (f", {self.count} processes" if self.count > 1 else "")

    def check(self, batch: int, key: str = "batch") -> None:
        """Raises UserError unless all shares are equal: only then the mean of means is the mean."""
        if batch % self.count:
            raise UserError(f"{key}: must be a multiple of the number of processes, {self.count}; got {batch}")

    def share(self, batch: Sequence[T]) -> list[T]:
        """This process's part."""
        self.check(len(batch))
        return list(batch[self.rank :: self.count])

    def average(self, tensors: Sequence[Tensor]) -> None:
        """In place, over all processes, in one all-reduce."""
        if self.count == 1 or not tensors:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        torch.distributed.all_reduce(flat)
        parts = (flat / self.count).split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))


ALONE = Ranks()


def synced(module: nn.Module) -> list[Tensor]:
    """The tensors to average over processes: gradients, and the running statistics of batch normalisation."""
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    return gradients + [buffer for name, buffer in module.named_buffers() if name.endswith(("running_mean", "running_var"))]


@contextmanager
def ranks(device: torch.device) -> Iterator[Ranks]:
    """The processes of `torchrun`'s environment variables; without them, one. With `cuda`, each process has its own GPU."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE
        return
    if device.type not in BACKENDS:
        raise UserError(f"run.device: data-parallel training needs {' or '.join(BACKENDS)}, got {device.type}")
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group(BACKENDS[device.type])
    try:
        yield Ranks(torch.distributed.get_rank(), count)
    finally:
        torch.distributed.destroy_process_group()
