"""ReLUs with an identity backward: what they return stays, gradients pass dead units, and afterwards all is as before."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from relume.networks import network as networks
from relume.networks.catalogue import facts
from relume.networks.relu import identity_relu
from relume.networks.taps import collect

X = torch.tensor([-2.0, -0.5, 0.0, 0.5, 5.0, 7.0])


def holding(body: nn.Module) -> networks.Network:
    return networks.Network(dataclasses.replace(facts("identity")), body)


def slope(unit: nn.Module) -> tuple[list[float], list[float]]:
    x = X.clone().requires_grad_()
    value = unit(x)
    (found,) = torch.autograd.grad((value * torch.arange(1.0, 7.0)).sum(), [x])
    return value.tolist(), found.tolist()


@pytest.mark.parametrize("unit", [nn.ReLU(), nn.ReLU6()])
def test_values_stay_and_gradients_pass_unchanged(unit: nn.Module):
    network = holding(nn.Sequential(unit, nn.LeakyReLU(0.1), nn.Hardtanh(0, 1), nn.GELU()))  # others are left alone
    values, dead = slope(unit)
    with identity_relu(network) as count:
        assert count == 1
        assert slope(unit) == (values, [1, 2, 3, 4, 5, 6])
    assert slope(unit) == (values, dead)
    assert dead[:2] == [0, 0]
    assert "forward" not in vars(unit)


def test_a_failure_inside_and_one_within_another_are_undone():
    unit = nn.ReLU()
    network = holding(nn.Sequential(unit))
    with pytest.raises(KeyboardInterrupt), identity_relu(network):
        raise KeyboardInterrupt
    assert "forward" not in vars(unit)
    with identity_relu(network):
        with identity_relu(network):
            assert slope(unit)[1] == [1, 2, 3, 4, 5, 6]
        assert slope(unit)[1] == [1, 2, 3, 4, 5, 6]
    assert slope(unit)[1][0] == 0


@pytest.mark.parametrize("name", ["alexnet_conv", "resnet18", "efficientnet_lite0"])
def test_taps_see_the_same_and_more_gradient_arrives(name: str):
    network = networks.random(name)
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def look() -> tuple[Tensor, Tensor]:
        with collect(network, ["pool"]) as taps:
            value = taps(picture)["pool"]
        return value, torch.autograd.grad(value.sum(), [picture])[0]

    value, exact = look()
    with identity_relu(network) as count:
        assert count > 0
        same, straight = look()
    assert torch.equal(value, same)
    assert not torch.allclose(exact, straight)
    assert torch.equal(look()[1], exact)
