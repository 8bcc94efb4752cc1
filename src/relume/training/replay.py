"""A ring buffer of a training's last values. It is part of the module's state, so that checkpoints contain it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Ring(nn.Module):
    """The last rows of tensors of equal length. Nothing synchronises the device."""

    seen: Tensor  # (): the number of rows ever added

    def __init__(self, **values: Tensor) -> None:
        super().__init__()
        self.names = tuple(values)
        for name, value in {**values, "seen": torch.zeros((), dtype=torch.int64)}.items():
            self.register_buffer(name, value)

    @torch.no_grad()
    def add(self, *rows: Tensor) -> None:
        for name, own in zip(self.names, rows, strict=True):
            values = self.get_buffer(name)
            values.index_copy_(0, (self.seen + torch.arange(len(own), device=own.device)) % len(values), own)
        self.seen.add_(len(rows[0]))

    def draw(self, generators: Sequence[torch.Generator]) -> list[Tensor]:
        """As many rows as generators: row n is drawn by generator n."""
        values = [self.get_buffer(name) for name in self.names]
        drawn = torch.stack([torch.rand((), generator=one, dtype=torch.float64) for one in generators]).to(self.seen.device)
        slots = (drawn * self.seen.clamp(max=len(values[0]))).long()
        return [value[slots] for value in values]
