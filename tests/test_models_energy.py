"""The Energy Transformer: published sizes, gradients equal autograd's, the energy falls, options."""

from typing import Any

import pytest
import torch
from torch import Tensor

from relume.core.runtime import generator
from relume.methods.masked.config import EnergyTransformerConfig
from relume.methods.masked.energy_transformer import (
    EPS,
    EnergyAttention,
    EnergyBlock,
    EnergyTransformer,
    Memories,
)

SMALL: dict[str, Any] = {"width": 12, "heads": 3, "key": 5, "memories": 20, "steps": 6, "alpha": 0.05, "beta": 0.4}


def config(**changes: Any) -> EnergyTransformerConfig:
    return EnergyTransformerConfig(**{"kind": "energy_transformer", "init": 0.5, "memory_init": 0.5, **SMALL, **changes})


def tokens(count: int = 2, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(count, 7, 12, generator=generator(0, "tokens"), dtype=dtype)


def block(**changes: Any) -> EnergyBlock:
    torch.manual_seed(0)
    made = EnergyBlock(config(**changes)).double()
    with torch.no_grad():
        made.norm.gamma.fill_(1.3)
        made.norm.delta.normal_()
    return made


@pytest.mark.parametrize(("width", "count"), [(256, 698_161), (768, 3_667_249)])
def test_published_parameter_counts(width: int, count: int) -> None:
    """CIFAR's layout: 32 px, cells of 4."""
    published = config(width=width, heads=12, key=64, memories=4 * width, steps=12, alpha=10.0, beta=0.125)
    made = EnergyTransformer(published, 32, 4)
    assert sum(weights.numel() for weights in made.parameters()) == count


def test_norm_is_the_gradient_of_its_lagrangian() -> None:
    """L = D gamma sqrt(var + eps) + sum(delta x)."""
    norm, x = block().norm, tokens().requires_grad_()
    lagrangian = 12 * norm.gamma * (x.var(-1, correction=0) + EPS).sqrt() + (norm.delta * x).sum(-1)
    (gradient,) = torch.autograd.grad(lagrangian.sum(), x)
    assert torch.allclose(gradient, norm(x), rtol=1e-10)


def test_energies() -> None:
    """One head, one number: keys 1 g, queries 2 g, tokens 1 and 3: scores 2 g g' / 2 are 1, 3 / 3, 9."""
    attention, memories = EnergyAttention(config(width=1, heads=1, key=1, beta=0.5)), Memories(config(width=2, memories=2))
    with torch.no_grad():
        attention.wk.fill_(1.0)
        attention.wq.fill_(2.0)
        g = torch.tensor([[[1.0], [3.0]]])
        wanted = -2 * (torch.tensor([1.0, 3.0]).logsumexp(0) + torch.tensor([3.0, 9.0]).logsumexp(0))
        assert attention.energy(g).item() == pytest.approx(wanted.item(), rel=1e-6)
        attention.own_key = False
        assert attention.energy(g).item() == pytest.approx(-2 * (3.0 + 3.0), rel=1e-6)
        memories.xi.copy_(torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
        g = torch.tensor([[[3.0, 2.0]]])  # overlaps 3 and -2: the ReLU removes the second
        assert memories.energy(g).item() == -4.5


@pytest.mark.parametrize("own_key", [True, False])
@pytest.mark.parametrize("beta", [0.01, 0.4, 30.0])
def test_descent_and_its_gradients_are_those_of_autograd(own_key: bool, beta: float) -> None:
    """Through the energy, in float64, by the tokens and all weights."""
    made, x = block(own_key=own_key, beta=beta, steps=3), tokens().requires_grad_()
    plain = x
    for _ in range(3):
        g = made.norm(plain)
        energy = made.attention.energy(g) + made.memories.energy(g)
        plain = plain - made.alpha * torch.autograd.grad(energy.sum(), g, create_graph=True)[0]
    found = [(last, *torch.autograd.grad(last.sin().sum(), [x, *made.parameters()])) for last in (made(x), plain)]
    for one, other in zip(*found, strict=True):
        assert ((one - other).norm() / other.norm()).item() < 1e-9


def test_gradients_in_bfloat16() -> None:
    found = []
    for low in (False, True):
        made = block(width=32, heads=2, key=16, memories=64, steps=2, init=0.1, memory_init=0.1).float()
        x = torch.randn(3, 9, 32, generator=generator(0, "tokens"))
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            last = made(x)
        last.square().mean().backward()
        found.append([last, *(weights.grad for weights in made.parameters())])
    for one, other in zip(*found, strict=True):
        assert one is not None
        assert ((one - other).norm() / one.norm()).item() < 0.1


@pytest.mark.parametrize("own_key", [True, False])
def test_energy_falls_in_small_steps(own_key: bool) -> None:
    made = block(alpha=0.003, steps=40, own_key=own_key)
    with torch.no_grad():
        energies = torch.stack([made.energy(x) for x in made.path(tokens())])
    assert (energies.diff(dim=0) <= 1e-9).all()
    assert (energies[-1] < energies[0] - 1).all()


def test_noise() -> None:
    made = block(noise=0.2, alpha=0.25, steps=1, width=12)
    x = tokens(400)
    still, moved, again = made(x), made(x, generator(0, "noise")), made(x, generator(0, "noise"))
    assert torch.equal(still, made(x))
    assert torch.equal(moved, again)
    assert (moved - still).std().item() == pytest.approx(0.5 * 0.2, rel=0.02)


def model(**changes: Any) -> EnergyTransformer:
    torch.manual_seed(1)
    return EnergyTransformer(config(**changes), 8, 2)
