"""The whole registry on random weights: declared facts equal the network's. EfficientNet-Lite0 with its true weights."""

import dataclasses
import functools
from pathlib import Path

import pytest
import skimage.data
import torch
from torch import nn

from relume.core.errors import UserError
from relume.core.images import resize, to_float
from relume.networks import network as networks
from relume.networks import sources
from relume.networks.catalogue import NETWORKS, check_tap, facts
from relume.networks.facts import Place, Tap
from relume.networks.fetch import fetch_weights
from relume.networks.network import load
from relume.networks.taps import collect
from relume.networks.weights import WeightStore

META = torch.device("meta")
OTHERS = ("ViT-B-16/laion2b_s34b_b88k", "coca_ViT-B-32/laion2b_s13b_b90k", "ViT-B-16-SigLIP/webli", "RN101/yfcc15m")
SMALL = ("alexnet_conv", "vgg16_conv", "resnet18", "squeezenet1_1", "efficientnet_lite0", "identity")


@functools.cache
def shapes_of(name: str) -> networks.Network:
    return networks.random(name, device=META)


def values(network: networks.Network, size: int, device: torch.device = META) -> dict[str, torch.Tensor]:
    with collect(network, list(network.facts.taps)) as taps:
        return taps(torch.zeros(2, 3, size, size, device=device))


@pytest.mark.parametrize("name", [*NETWORKS, *OTHERS])
def test_declared_channels_and_form(name):
    network = shapes_of(name)
    for tap, value in values(network, network.facts.size).items():
        declared = network.facts.taps[tap]
        assert value.shape[:2] == (2, declared.channels), tap
        assert value.ndim == (2 if declared.stride is None else 4), tap
        if declared.stride:  # unpadded convolutions and poolings lose a position or two at the border
            assert 0 <= network.facts.size / declared.stride - value.shape[-1] < 3.5, tap
            assert value.shape[-1] == value.shape[-2]


@pytest.mark.parametrize("name", [name for name, entry in NETWORKS.items() if entry.any_size])
def test_declared_stride_and_min_size(name):
    network = shapes_of(name)
    small, big = (values(network, network.facts.min_size + more) for more in (0, 64))
    for tap, declared in network.facts.taps.items():
        if declared.stride:
            assert (big[tap].shape[-1] - small[tap].shape[-1]) * declared.stride == 64, tap


@pytest.mark.parametrize("name", SMALL)
def test_activation_maps_pre_to_tap(name):
    network = networks.random(name, seed=1)
    size = max(network.facts.min_size, 48)
    with collect(network, list(network.facts.taps)) as taps, torch.no_grad():
        found = taps(torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)))
    pairs = [tap for tap, declared in network.facts.taps.items() if declared.activation]
    assert pairs or name == "identity"
    for tap in pairs:
        before, after = found[f"{tap}_pre"], found[tap]
        assert before.min() < 0, tap
        high = 6 if network.facts.taps[tap].activation == "relu6" else None
        torch.testing.assert_close(before.clamp(0, high), after)
    if "pool_pre" in found:
        last = [tap for tap in pairs if found[tap].ndim == 4 and found[tap].shape[1] == found["pool"].shape[1]][-1]
        torch.testing.assert_close(found["pool"], found[last].mean((2, 3)))
        torch.testing.assert_close(found["pool_pre"], found[f"{last}_pre"].mean((2, 3)))


def test_residual_taps():
    network = networks.random("resnet50", seed=2)  # one ReLU module, run three times in each block
    picture = torch.rand(1, 3, 64, 64)
    with collect(network, ["layer2_pre", "layer2"]) as taps, torch.no_grad():
        found = taps(picture)
    body = network.body
    with torch.no_grad():
        x = body.maxpool(body.relu(body.bn1(body.conv1((picture - network.mean) / network.std))))
        torch.testing.assert_close(body.layer2(body.layer1(x)), found["layer2"])
    torch.testing.assert_close(found["layer2_pre"].relu(), found["layer2"])
    assert found["layer2_pre"].min() < 0


def test_transformer_tokens_form_a_map():
    tokens = torch.arange(10.0).view(1, 10, 1).expand(1, 10, 4)  # class token 0, then a 3 x 3 map
    tap = Tap(channels=4, stride=32, places=(Place(module=""),), form="tokens")
    entry = dataclasses.replace(facts("identity"), taps={"block": tap})
    network = networks.Network(entry, nn.Module())
    network.body.forward = lambda images: tokens
    with collect(network, ["block"]) as taps:
        found = taps(torch.zeros(1, 3, 8, 8))["block"]
    assert found.shape == (1, 4, 3, 3)
    assert found[0, 0].flatten().tolist() == list(range(1, 10))


def test_fid_inception_average_excludes_padding():
    from relume.networks.fid import inception

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        ours = inception().eval()
        x = torch.ones(1, 192, 5, 5)
        branch = ours.Mixed_5b(x)[:, -32:]
    # the average of ones without padding is one everywhere, so the pooled branch is constant over positions
    torch.testing.assert_close(branch, branch[..., 2:3, 2:3].expand_as(branch))


def test_normalisation_and_input_checks():
    network = networks.random("identity")
    picture = torch.rand(1, 3, 8, 8)
    assert torch.equal(network(picture), picture)
    alexnet = networks.random("alexnet_conv")
    grey = torch.tensor(alexnet.facts.mean).view(1, 3, 1, 1).expand(1, 3, 63, 63)  # the mean colour is zero to the body
    torch.testing.assert_close(alexnet(grey), alexnet.body(torch.zeros(1, 3, 63, 63)))
    with pytest.raises(ValueError, match="N, 3, H, W"):
        network(torch.rand(3, 8, 8))
    with pytest.raises(UserError, match="31 x 31"):
        alexnet(torch.rand(1, 3, 30, 40))


def test_frozen_stays_in_eval():
    network = networks.random("resnet18")
    holder = nn.ModuleDict({"encoder": network}).train()
    assert holder.training
    assert not any(module.training for module in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not any(getattr(module, "inplace", False) for module in network.modules())


def test_random_is_seeded_and_keeps_the_global_generator():
    before = torch.get_rng_state()
    one, two, three = (networks.random("alexnet_conv", seed=seed).body.state_dict() for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not all(torch.equal(one[key], three[key]) for key in one)


@pytest.mark.parametrize("name", ["vgg61", "ViT-B-99/openai", "ViT-B-16/", "ViT-B-16/../x"])
def test_unknown_names_list_the_choices(name):
    with pytest.raises(UserError, match="allowed: "):
        facts(name)
    with pytest.raises(UserError, match=r"alexnet_conv has no tap 'conv6'; did you mean 'conv\d'"):
        check_tap("alexnet_conv", "conv6")
    for look in (lambda tag: networks.random(tag, device=META), sources.files):
        with pytest.raises(UserError, match="'nonsense'.*allowed: .*openai"):
            look("ViT-B-32/nonsense")


CATS, CUPS = {281, 282, 285}, {504, 967, 968}  # ImageNet: tabby, tiger cat, Egyptian cat; coffee mug, espresso, cup


@pytest.mark.parametrize(("name", "classes"), [("chelsea", CATS), ("coffee", CUPS)])
def test_efficientnet_lite0_recognises(name: str, classes: set[int], tmp_path: Path) -> None:
    pixels = getattr(skimage.data, name)()
    side = min(pixels.shape[:2])
    left = (pixels.shape[1] - side) // 2
    picture = resize(to_float(pixels[None, :side, left : left + side]), 224)
    fetch_weights("efficientnet_lite0", tmp_path, log=lambda text: None)
    network = load("efficientnet_lite0", WeightStore(tmp_path), torch.device("cpu"))
    with torch.no_grad(), collect(network, ["logits"]) as tapped:
        assert int(tapped(picture)["logits"].argmax()) in classes
