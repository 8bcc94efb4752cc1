"""A context manager for ReLUs with identity gradients, as in the `robustness` library."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from relume.networks.network import Network


@contextmanager
def identity_relu(network: Network) -> Iterator[int]:
    """Inside, the backward pass of every nn.ReLU and nn.ReLU6 is the identity; the forward pass is unchanged. Yields their
    number: 0 for networks without ReLU modules, such as transformers."""
    units = [module for module in network.body.modules() if isinstance(module, nn.ReLU | nn.ReLU6)]
    with ExitStack() as stack:
        for unit in units:
            stack.enter_context(_straight(unit))
        yield len(units)


@contextmanager
def _straight(unit: nn.Module) -> Iterator[None]:
    """Overrides `forward` on the instance, so that hooks still work."""
    previous = vars(unit).get("forward")  # of an enclosing context
    high = 6.0 if isinstance(unit, nn.ReLU6) else None
    unit.forward = lambda x: _Straight.apply(x, high)
    try:
        yield
    finally:
        del unit.forward
        if previous is not None:
            unit.forward = previous


class _Straight(torch.autograd.Function):
    """min(max(x, 0), high) with the derivative 1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, high: float | None) -> Tensor:
        return x.clamp(0, high)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None
