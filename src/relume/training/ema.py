"""Exponential moving average of a module's weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

State = dict[str, Tensor]


class Ema:
    """average <- d average + (1 - d) weights, d = min(decay, (1 + step) / (10 + step)). Integers are copied; decay 0 averages
    nothing."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values: State = copied(module.state_dict())

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, 1 - decay)
            else:
                self.values[name].copy_(value)

    def restore(self, values: Mapping[str, Tensor]) -> None:
        for name, value in self.values.items():
            value.copy_(values[name])

    @contextmanager
    def applied(self, module: nn.Module) -> Iterator[None]:
        """Inside, the module has the averaged weights."""
        own = copied(module.state_dict())
        module.load_state_dict(self.values)
        try:
            yield
        finally:
            module.load_state_dict(own)


def copied(state: Mapping[str, Tensor]) -> State:
    return {name: value.detach().clone() for name, value in state.items()}


def prefixed(name: str, tensors: Mapping[str, Tensor]) -> State:
    return {f"{name}.{key}": value for key, value in tensors.items()}


def below(name: str, tensors: Mapping[str, Tensor]) -> State:
    return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
