"""Networks written out here to save an import of seconds: bit by bit the numbers of the packages that they follow."""

from types import SimpleNamespace

import pytest
import timm
import torch
from timm.models.swin_transformer import SwinTransformerStage
from timm.models.vision_transformer import Block as TimmBlock
from torch import Tensor, nn

from relume.methods.masked.swin import Stage
from relume.methods.masked.vit import Block
from relume.networks.catalogue import facts
from relume.networks.network import Network, random
from relume.networks.taps import collect


def agree(ours: nn.Module, theirs: nn.Module, x: Tensor) -> None:
    """The same names and initial values, the same outputs, the same gradients."""
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in ours.state_dict().items())
    outputs = [module(x) for module in (ours, theirs)]
    assert torch.equal(*outputs)
    grads = [
        torch.autograd.grad(y.square().sum(), [x, *module.parameters()])
        for y, module in zip(outputs, (ours, theirs), strict=True)
    ]
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


@pytest.mark.parametrize("bias", [True, False])
def test_a_transformer_block_is_timms(bias: bool) -> None:
    torch.manual_seed(0)
    ours = Block(48, 4, qkv_bias=bias)
    torch.manual_seed(0)
    agree(ours, TimmBlock(48, 4, qkv_bias=bias), torch.randn(2, 12, 48, requires_grad=True))


@pytest.mark.parametrize(("side", "window"), [(16, 4), (6, 4), (4, 4), (3, 4), (7, 3)])
@pytest.mark.parametrize("number", [0, 1])
def test_a_swin_stage_is_timms(side: int, window: int, number: int) -> None:
    config, width = SimpleNamespace(width=28, depths=[2, 2], heads=[2, 4], window=window), 28 * 2**number
    torch.manual_seed(0)
    ours = Stage(config, number, side)  # type: ignore[arg-type]
    torch.manual_seed(0)
    theirs = SwinTransformerStage(
        28, width, (side, side), 2, downsample=number > 0, num_heads=config.heads[number], window_size=window
    )
    agree(ours, theirs, torch.randn(2, side, side, 28, requires_grad=True))


@pytest.mark.parametrize("size", [128, 97, 18])
def test_efficientnet_lite0_is_timms_at_every_tap(size: int) -> None:
    ours = random("efficientnet_lite0")
    body = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    body.load_state_dict(ours.body.state_dict())
    theirs, x, taps = Network(facts("efficientnet_lite0"), body), torch.rand(2, 3, size, size), list(ours.facts.taps)
    with collect(ours, [*taps, "batchnorm"]) as see, collect(theirs, [*taps, "batchnorm"]) as look:
        seen, looked = see(x), look(x)
    assert all(torch.equal(seen[tap], looked[tap]) for tap in seen)
