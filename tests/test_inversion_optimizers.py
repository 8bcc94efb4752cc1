"""The optimisers: every rule descends, rows are independent, a restored state gives the same bits."""

from functools import partial
from typing import Any

import pytest
import torch

from relume.methods.optimise.config import Optimiser
from relume.methods.optimise.optimizers import HISTORY, RULES, Lbfgs, Optimizer, build, normalised

RATES = {"sgd": 0.1, "adam": 0.1, "lbfgs": 0.5}
CURVATURES = torch.tensor([[1.0, 4.0, 9.0, 0.5], [2.0, 2.0, 2.0, 2.0]])  # one quadratic per row
START = torch.tensor([[1.0, -1.0, 2.0, 3.0], [-2.0, 0.5, 1.0, -3.0]])


def optimizer(rule: str, code: torch.Tensor, betas: tuple[float, float] = (0.9, 0.999)) -> Optimizer:
    plain: dict[str, Any] = {"normalise_gradient": False, "learning_rate": ((0, 0.1),), "warmup": 0, "cosine": False}
    return build(Optimiser(rule=rule, betas=betas, **plain), code)  # type: ignore[arg-type]


def go(moving: Optimizer, code: torch.Tensor, curvatures: torch.Tensor, steps: int, rate: float) -> torch.Tensor:
    """Steps on sum curvature x^2 / 2; its values (N,) at the end. The code has any shape."""
    for _ in range(steps):
        moving.step(curvatures.view_as(code) * code.detach(), rate)
    return (curvatures.view_as(code) * code.detach().square() / 2).flatten(1).sum(1)


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("before", [0, 1, 3, HISTORY + 4])
def test_restored_state_gives_equal_bits(rule: str, before: int) -> None:
    whole, halted = START.clone(), START.clone()
    first = optimizer(rule, halted)
    go(first, halted, CURVATURES, before, RATES[rule])
    saved = first.state()
    assert saved == {} or before
    code = halted.clone()
    second = optimizer(rule, code)
    second.restore(saved)
    assert second.state().keys() == saved.keys()
    go(optimizer(rule, whole), whole, CURVATURES, before + 5, RATES[rule])
    go(second, code, CURVATURES, 5, RATES[rule])
    assert torch.equal(whole, code)


def test_sgd_and_adam_equal_torch() -> None:
    for rule, make in (("sgd", torch.optim.SGD), ("adam", partial(torch.optim.Adam, betas=(0.5, 0.9)))):
        ours, theirs = START.clone(), START.clone().requires_grad_()
        go(optimizer(rule, ours, betas=(0.5, 0.9)), ours, CURVATURES, 7, 0.03)
        optimiser = make([theirs], lr=0.03)
        for _ in range(7):
            theirs.grad = CURVATURES * theirs.detach()
            optimiser.step()
        torch.testing.assert_close(ours, theirs.detach())


def test_lbfgs_equals_the_dense_update() -> None:
    """H <- (1 - rho s y') H (1 - rho y s') + rho s s', from s.y / y.y of the newest pair, over all pairs that it remembers."""
    curvatures = torch.tensor([1.0, 3.0, 2.0, 1.5, 0.5], dtype=torch.float64)
    code = torch.tensor([0.4, -0.3, 0.2, 0.5, 0.1], dtype=torch.float64)
    ours = code.clone()[None]
    moving = Lbfgs(ours)
    pairs: list[tuple[torch.Tensor, torch.Tensor]] = []
    for _ in range(HISTORY + 3):
        gradient = curvatures * code
        direction = bfgs(pairs[-HISTORY:]) @ gradient if pairs else gradient / gradient.norm()
        moving.step(curvatures * ours, 0.7)
        assert torch.allclose(ours[0], code - 0.7 * direction, rtol=1e-5, atol=1e-12)
        pairs.append((-0.7 * direction, -0.7 * curvatures * direction))
        code = code - 0.7 * direction


def bfgs(pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    s, y = pairs[-1]
    one = torch.eye(len(s), dtype=s.dtype)
    inverse = (s @ y) / (y @ y) * one
    for s, y in pairs:
        rho = 1 / (s @ y)
        inverse = (one - rho * torch.outer(s, y)) @ inverse @ (one - rho * torch.outer(y, s)) + rho * torch.outer(s, s)
    return inverse


def test_lbfgs_skips_negative_curvature_per_row() -> None:
    code = START.clone()
    moving = Lbfgs(code)
    bent = torch.tensor([[-1.0], [1.0]])  # negative curvature in the first row
    for _ in range(4):
        before = code.clone()
        moving.step(bent * code, 0.5)
    state = moving.state()
    assert state["scale"].tolist() == [0.0, pytest.approx(1.0)]
    assert all(state[f"rho{i}"][0] == 0 for i in range(3))
    downhill = (code - before)[0]
    assert torch.allclose(downhill, 0.5 * before[0] / before[0].norm(), atol=1e-6)  # along the gradient, by the rate


def test_lbfgs_step_length_is_bounded() -> None:
    code = 1e4 * START
    moving = Lbfgs(code)
    for _ in range(10):
        before = code.clone()
        moving.step(1e-3 * CURVATURES * code, 0.1)
        assert ((code - before).norm(dim=1) <= 0.1 * 2 * 1.0001 + 2e-3).all()


@pytest.mark.parametrize("rule", sorted(RULES))
def test_normalised_zero_gradient_is_zero(rule: str) -> None:
    gradient = normalised(torch.stack([torch.zeros(2, 2), torch.tensor([[3.0, 0.0], [0.0, 4.0]])]))
    assert torch.equal(gradient, torch.tensor([[[0.0, 0.0], [0.0, 0.0]], [[0.6, 0.0], [0.0, 0.8]]]))
    code = START.clone().view(2, 2, 2)
    moving = optimizer(rule, code)
    for _ in range(3):
        moving.step(gradient, 0.1)
    assert torch.equal(code[0].flatten(), START[0])
    assert torch.isfinite(code).all()
    assert not torch.equal(code[1].flatten(), START[1])
