"""Networks written out here to save an import of seconds: bit by bit the numbers of the packages that they follow. And networks
of a user's own, which section `networks` declares."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from timm.models.vision_transformer import Block as TimmBlock
from torch import Tensor, nn

from relume.core.code import write_stages
from relume.core.errors import UserError
from relume.core.files import read_json
from relume.methods.masked.vit import Block
from relume.networks.catalogue import DECLARED, facts
from relume.networks.fetch import fetch_weights
from relume.networks.network import Network, load, random
from relume.networks.taps import collect
from relume.networks.weights import WeightStore
from relume.params import check
from tests.test_params import told


def agree(ours: nn.Module, theirs: nn.Module, x: Tensor) -> None:
    """The same names and initial values, the same outputs, the same gradients."""
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in ours.state_dict().items())
    outputs = [module(x) for module in (ours, theirs)]
    torch.testing.assert_close(*outputs)
    grads = [
        torch.autograd.grad(y.square().sum(), [x, *module.parameters()])
        for y, module in zip(outputs, (ours, theirs), strict=True)
    ]
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("bias", [True, False])
def test_a_transformer_block_is_timms(bias: bool) -> None:
    torch.manual_seed(0)
    ours = Block(48, 4, qkv_bias=bias)
    torch.manual_seed(0)
    agree(ours, TimmBlock(48, 4, qkv_bias=bias), torch.randn(2, 12, 48, requires_grad=True))


@pytest.mark.parametrize("size", [128, 97, 18])
def test_efficientnet_lite0_is_timms_at_every_tap(size: int) -> None:
    ours = random("efficientnet_lite0")
    body = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    body.load_state_dict(ours.body.state_dict())
    theirs, x, taps = Network(facts("efficientnet_lite0"), body), torch.rand(2, 3, size, size), list(ours.facts.taps)
    with collect(ours, [*taps, "batchnorm"]) as see, collect(theirs, [*taps, "batchnorm"]) as look:
        seen, looked = see(x), look(x)
    assert all(torch.equal(seen[tap], looked[tap]) for tap in seen)


# --- of a user's own

MEAN = [0.5, 0.5, 0.5]
FACTORY = """
from torch import nn

def build(width):
    return nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(width, 8, 3, stride=2, padding=1))
"""


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, default_params: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The default, in which one recipe is of a network of the user's own; its factory is importable."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages/factory_of_mine.py").write_text(FACTORY)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    own = {"module": "factory_of_mine:build", "kwargs": {"width": 6}, "weights": None, "mean": MEAN, "std": MEAN, "pixels": 32}
    default_params["networks"] = {"mine": {**own, "any_size": True, "taps": ["1", "2"]}}
    for section in ("weights", "extract"):
        default_params[section]["networks"].append("mine")
    default_params["recipes"]["shallow"] |= {"network": "mine", "taps": {"1": 1.0}}
    yield default_params
    DECLARED.clear()


def test_a_declared_network_is_built_fetched_and_loaded(params: dict[str, Any], tmp_path: Path) -> None:
    check(params)
    assert [(tap.channels, tap.stride) for tap in facts("mine").taps.values()] == [(6, 1), (8, 2)]
    fetch_weights("mine", tmp_path / "weights")
    net, x = load("mine", WeightStore(tmp_path / "weights")), torch.rand(2, 3, 48, 48)
    assert not any(weight.requires_grad for weight in net.parameters())
    with collect(net, ["1", "2"]) as tapped:
        found = tapped(x)
    torch.testing.assert_close(found["2"], net.body((x - 0.5) / 0.5))
    torch.save(net.body.state_dict(), tmp_path / "mine.pt")
    written = (tmp_path / "weights/mine/model.safetensors").read_bytes()
    for change, same in (({"weights": "mine.pt", "mean": [0.1, 0.5, 0.5]}, False), ({"weights": None, "mean": MEAN}, True)):
        params["networks"]["mine"] |= change
        check(params)
        fetch_weights("mine", tmp_path / "weights")
        assert ((tmp_path / "weights/mine/model.safetensors").read_bytes() == written) == same
    torch.save({name: value * torch.nan for name, value in net.body.state_dict().items()}, tmp_path / "nan.pt")
    for file in ("none.pt", "nan.pt"):
        params["networks"]["mine"]["weights"] = file
        check(params)
        with pytest.raises(UserError, match=file):
            fetch_weights("mine", tmp_path / "weights")


@pytest.mark.parametrize(
    ("changes", "where", "kind"),
    [
        ({"networks.mine.taps": ["1", "22"]}, "networks.mine", "'22'.*near: '2'"),
        ({"networks.mine.module": "factory_of_mine:buidl"}, "networks.mine", "near: build"),
        ({"networks.mine.module": "torchvision:resnet19"}, "networks.mine", "near: resnet18"),
        ({"networks.mine.module": "build"}, "networks.mine.module", "pattern"),
        ({"networks.mine.std": [0.5, 0.5]}, "networks.mine.std.2", "missing"),
        ({"networks.mine.pixles": 3}, "networks.mine.pixles", "unknown key"),
        ({"networks.alexnet": {"module": "a:b"}}, "networks.alexnet.weights", "missing"),
        ({"recipes.shallow.taps": {"3": 1.0}}, "recipes.shallow.taps.3", "no tap"),
        (
            {"weights.networks": ["alexnet_conv", "vgg16_conv", "efficientnet_lite0", "lpips_alex", "lpips_vgg", "mini"]},
            "weights.networks",
            "mini",
        ),
    ],
)
def test_what_is_declared_wrongly_is_told_before_any_work(
    params: dict[str, Any], changes: dict[str, Any], where: str, kind: str
) -> None:
    check(params)
    told(params, changes, where, kind)


def test_the_code_of_a_factory_counts_for_stages_that_build_networks(tmp_path: Path) -> None:
    files = {
        "stages/look.py": "import relume.networks.builders\n",
        "stages/draw.py": "import relume.page\n",
        "src/relume/networks/builders.py": "x = 1\n",
        "src/relume/page.py": "y = 1\n",
        "src/mine/nets.py": "from mine.parts import z\n",
        "src/mine/parts.py": "z = 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    write_stages(tmp_path / "code", tmp_path, factories=["mine.nets", "timm"])
    assert {"src/mine/nets.py", "src/mine/parts.py"} <= read_json(tmp_path / "code/look.json").keys()
    assert read_json(tmp_path / "code/draw.json").keys() == {"stages/draw.py", "src/relume/page.py"}
