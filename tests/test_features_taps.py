"""Collecting taps: cut off after the deepest, nothing left behind, nothing overwritten, gradients flow."""

import pytest
import torch
from torch import nn

from relume.core.errors import UserError
from relume.features import networks
from relume.features.taps import collect

PICTURES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def hooks(network: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules())


class Counter:
    """Which leaf modules run."""

    def __init__(self, network: nn.Module) -> None:
        self.ran: list[str] = []
        leaves = [(name, module) for name, module in network.body.named_modules() if not list(module.children())]
        self.handles = [module.register_forward_pre_hook(self.note(name)) for name, module in leaves]

    def note(self, name: str):
        return lambda module, inputs: self.ran.append(name)

    def close(self) -> None:
        for handle in self.handles:
            handle.remove()


@pytest.mark.parametrize(
    ("name", "tap", "last"),
    [
        ("alexnet_conv", "conv2", "features.4"),
        ("alexnet_conv", "conv2_pre", "features.4"),
        ("resnet50", "layer1", "layer1.2.relu"),
        ("resnet50", "layer1_pre", "layer1.2.relu"),
        ("squeezenet1_1", "fire3_pre", "features.4.expand3x3_activation"),
    ],
)
def test_the_forward_pass_stops_after_the_deepest_tap(name, tap, last):
    network = networks.random(name)
    counter = Counter(network)
    with collect(network, [tap]) as taps, torch.no_grad():
        taps(PICTURES)
    counter.close()
    assert counter.ran[-1] == last
    everything = [module for module, child in network.body.named_modules() if not list(child.children())]
    assert set(everything[everything.index(last) + 1 :]).isdisjoint(counter.ran)


def test_order_of_the_names_is_kept_and_none_is_run_twice():
    network = networks.random("alexnet_conv")
    counter = Counter(network)
    with collect(network, ["conv3", "conv1", "pool", "conv3"]) as taps, torch.no_grad():
        found = taps(PICTURES)
    counter.close()
    assert list(found) == ["conv3", "conv1", "pool"]
    assert len(counter.ran) == len(set(counter.ran))


def test_no_hook_is_left():
    network = networks.random("resnet18")
    with collect(network, ["conv1", "layer2_pre", "pool"]) as taps:
        assert hooks(network) == 3
        taps(PICTURES)
    assert hooks(network) == 0
    with pytest.raises(ValueError, match="N, 3, H, W"), collect(network, ["layer1"]) as taps:
        taps(PICTURES[0])
    assert hooks(network) == 0
    with pytest.raises(KeyboardInterrupt), collect(network, ["layer1"]):
        raise KeyboardInterrupt
    assert hooks(network) == 0
    with pytest.raises(UserError, match="no tap 'layer9'"), collect(network, ["layer1", "layer9"]):
        pass
    assert hooks(network) == 0


def test_a_pass_that_failed_does_not_disturb_the_next():
    network = networks.random("resnet50")
    with collect(network, ["layer1"]) as taps, torch.no_grad():
        expected = taps(PICTURES)["layer1"]
        handle = network.body.layer1[1].register_forward_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            taps(PICTURES)
        handle.remove()
        assert torch.equal(taps(PICTURES)["layer1"], expected)


def test_taps_within_taps():
    network = networks.random("alexnet_conv")
    with collect(network, ["conv3"]) as outer, collect(network, ["conv1"]) as inner, torch.no_grad():
        assert list(inner(PICTURES)) == ["conv1"]
    assert hooks(network) == 0
    assert outer is not inner


def test_a_place_that_is_never_passed_is_named():
    network = networks.random("alexnet_conv")
    network.body.features = nn.Sequential(*list(network.body.features)[:3], nn.Identity(), nn.ReLU())
    network.body.forward = lambda x: x
    with (
        pytest.raises(RuntimeError, match=r"alexnet_conv: its forward pass never came by features\.1"),
        collect(network, ["conv1"]) as taps,
    ):
        taps(PICTURES)


def test_in_place_relus_overwrite_no_tap():
    """torchvision builds its ReLUs in place; here they are not, and values before them stay what they were."""
    network = networks.random("squeezenet1_1")
    with collect(network, ["conv1_pre", "conv1", "fire2"]) as taps, torch.no_grad():
        found = taps(PICTURES)
        expected = network.body.features[0]((PICTURES - network.mean) / network.std)
    torch.testing.assert_close(found["conv1_pre"], expected)
    assert found["conv1_pre"].min() < 0


def test_gradients_flow_to_the_picture_and_to_nothing_else():
    network = networks.random("alexnet_conv")
    picture = PICTURES.clone().requires_grad_()
    with collect(network, ["conv2", "conv3_pre"]) as taps:
        found = taps(picture)
    sum(value.square().mean() for value in found.values()).backward()
    assert picture.grad is not None
    assert picture.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in network.parameters())
