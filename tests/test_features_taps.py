"""Collecting taps: the pass stops after the deepest, no hook remains."""

import pytest
import torch
from torch import nn

from relume.core.errors import UserError
from relume.networks import network as networks
from relume.networks.catalogue import NETWORKS
from relume.networks.taps import BATCHNORM, collect

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
        ("resnet18", BATCHNORM, "layer4.1.bn2"),
    ],
)
def test_forward_pass_stops_after_the_deepest_tap(name, tap, last):
    network = networks.random(name)
    counter = Counter(network)
    with collect(network, [tap]) as taps, torch.no_grad():
        taps(PICTURES)
    counter.close()
    assert counter.ran[-1] == last
    everything = [module for module, child in network.body.named_modules() if not list(child.children())]
    assert set(everything[everything.index(last) + 1 :]).isdisjoint(counter.ran)


def test_order_is_kept_and_no_layer_runs_twice():
    network = networks.random("alexnet_conv")
    counter = Counter(network)
    with collect(network, ["conv3", "conv1", "pool", "conv3"]) as taps, torch.no_grad():
        found = taps(PICTURES)
    counter.close()
    assert list(found) == ["conv3", "conv1", "pool"]
    assert len(counter.ran) == len(set(counter.ran))


def test_no_hook_remains():
    network = networks.random("resnet18")
    with collect(network, ["conv1", "layer2_pre", "pool"]) as taps:
        assert hooks(network) == 3
        taps(PICTURES)
    assert hooks(network) == 0
    with collect(network, ["layer3"]), collect(network, ["conv1"]) as inner, torch.no_grad():
        assert list(inner(PICTURES)) == ["conv1"], "taps within taps"
    with pytest.raises(ValueError, match="N, 3, H, W"), collect(network, ["layer1"]) as taps:
        taps(PICTURES[0])
    with pytest.raises(KeyboardInterrupt), collect(network, ["layer1"]):
        raise KeyboardInterrupt
    with pytest.raises(UserError, match="no tap 'layer9'"), collect(network, ["layer1", "layer9"]):
        pass
    assert hooks(network) == 0


def test_failed_pass_does_not_affect_the_next():
    network = networks.random("resnet50")
    with collect(network, ["layer1"]) as taps, torch.no_grad():
        expected = taps(PICTURES)["layer1"]
        handle = network.body.layer1[1].register_forward_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            taps(PICTURES)
        handle.remove()
        assert torch.equal(taps(PICTURES)["layer1"], expected)


def norms(network: networks.Network) -> list[nn.BatchNorm2d]:
    return [module for module in network.body.modules() if isinstance(module, nn.BatchNorm2d)]


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "efficientnet_lite0"])
def test_batchnorm_statistics_are_per_image(name):
    network = networks.random(name)
    with collect(network, [BATCHNORM, "pool"]) as taps, torch.no_grad():
        both, one = taps(PICTURES), taps(PICTURES[:1])
    assert list(both) == [BATCHNORM, "pool"]
    assert both[BATCHNORM].shape == (2, len(norms(network)))
    assert (both[BATCHNORM] > 0).all()
    torch.testing.assert_close(both[BATCHNORM][:1], one[BATCHNORM], rtol=1e-4, atol=1e-5)
    assert hooks(network) == 0


def test_batchnorm_statistics():
    """A constant image of 0.5 against mean 0.2 and variance 1 in each of three channels: sqrt(3) * 0.3 + sqrt(3) * 1."""
    network = networks.Network(NETWORKS["identity"], nn.Sequential(nn.BatchNorm2d(3)))
    network.body[0].running_mean.fill_(0.2)
    picture = torch.full((1, 3, 4, 4), 0.5, requires_grad=True)
    for wanted in (3**0.5 * 1.3, 0.0):
        with collect(network, [BATCHNORM]) as taps:
            value = taps(picture)[BATCHNORM]
        assert value.item() == pytest.approx(wanted)
        (gradient,) = torch.autograd.grad(value.sum(), [picture])
        if wanted:
            torch.testing.assert_close(gradient, torch.full_like(gradient, 1 / 3**0.5 / 16))
        assert gradient.isfinite().all(), "also where the distance is 0"
        network.body[0].running_mean.fill_(0.5)
        network.body[0].running_var.zero_()
