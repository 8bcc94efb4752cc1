"""What a notebook does: images from the features of any module, which is put back as it was found; faults told by their key."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from skimage.data import astronaut, coffee
from torch import Tensor, nn

import relume
from benchmarks import guides as carrying
from relume.api import guides, inversion
from relume.api.inversion import Inversion
from relume.api.models import Source
from relume.api.pictures import load
from relume.core.errors import UserError
from relume.core.files import Scratch
from relume.core.images import resize, to_uint8
from relume.losses.objective import State
from relume.methods.optimise import infer
from tests.evaluation_files import write_dataset

SIZE = 32
FEW: dict[str, Any] = {"steps": 3, "progress": False}
BLIND: dict[str, Any] = {"losses": {"guide": 0.0}, "settings": {"init": {"base": "grey"}}}


class Net(nn.Module):
    """Of anybody: one channel, ReLUs in place, a map, tokens and vectors."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(channels, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.mix = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.drop, self.head = nn.Dropout(0.5), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        tokens = self.mix(self.conv(x).flatten(2).transpose(1, 2))
        return self.head(self.drop(tokens.mean(1))), {"tokens": tokens}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The library's own folder, with toy training pictures in it; no project is around."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path / "cache/relume/images/photos", size=SIZE, splits=("train",), each=8)
    return tmp_path / "cache/relume"


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net()


def smooth(channels: int = 3, count: int = 1, size: int = SIZE) -> Tensor:
    small = torch.rand(count, channels, 6, 6, generator=torch.Generator().manual_seed(0))
    return nn.functional.interpolate(small, size=(size, size), mode="bicubic").clamp(0, 1)


def state(model: nn.Module) -> list[Any]:
    """All that an inversion could leave behind."""
    hooks = [(len(one._forward_hooks), len(one._forward_pre_hooks), one.training) for one in model.modules()]
    tensors = [(value.device, value.requires_grad, value.grad, value.stride()) for value in model.parameters()]
    return [hooks, tensors, [getattr(one, "inplace", None) for one in model.modules()], *model.buffers()]


def same(before: list[Any], after: list[Any]) -> bool:
    return before[:3] == after[:3] and all(map(torch.equal, before[3:], after[3:]))


def torchvision_net(name: str) -> nn.Module:
    import torchvision

    return torchvision.models.get_model(name, weights=None)  # type: ignore[no-any-return]


def timm_net(name: str, **options: Any) -> nn.Module:
    import timm

    return timm.create_model(name, pretrained=False, **options)  # type: ignore[no-any-return]


NOBODYS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "resnet": (lambda: torchvision_net("resnet18"), "layer1"),
    "swin": (lambda: torchvision_net("swin_t"), "features.1"),
    "vit": (lambda: timm_net("vit_tiny_patch16_224", img_size=64), "blocks.1"),
    "own": (Net, "conv"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NOBODYS)
def test_modules_that_nobody_tuned_for(name: str) -> None:
    make, layer = NOBODYS[name]
    torch.manual_seed(0)
    model = make().train()
    before = state(model)
    images = smooth(1 if name == "own" else 3, size=64)
    made = relume.invert(model, layer=layer, images=images, steps=60, progress=False, **(BLIND if name == "own" else {}))
    assert made.feature_error[0] < 0.2
    assert made.images.shape == images.shape
    assert same(before, state(model))


def test_importing_is_quick_and_brings_no_torch() -> None:
    code = "import sys, relume; assert 'torch' not in sys.modules; assert dir(relume)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert {getattr(relume, name) for name in relume.__all__}
    assert not hasattr(relume, "inverse")


def test_layers_are_listed_in_the_order_of_the_pass(net: Net) -> None:
    found = relume.layers(net, size=SIZE)
    assert [found[name] for name in ("conv", "mix", "head")] == [(8, 16, 16), (256, 8), (5,)]
    names = list(found)
    assert names.index("conv") < names.index("mix") < names.index("head") < names.index("")
    assert relume.layers("alexnet_conv", size=64)["conv2"] == (192, 7, 7)


@pytest.mark.parametrize(
    ("layer", "recipe"), [("conv", "efficientnet_shallow"), ("mix", "tokens_deep"), ("head", "efficientnet_pooled")]
)
def test_maps_tokens_and_vectors_with_their_guides(net: Net, cache: Path, layer: str, recipe: str) -> None:
    before, images = state(net), smooth(1, count=3)
    made = relume.invert(net, layer=layer, images=images, micro_batch=2, restarts=2, **FEW)
    assert made.settings["recipe"] == recipe
    assert (made.images.shape, len(made.objective), len(made.feature_error)) == (images.shape, 3, 3)
    assert made.trace[-1]["step"] == 3
    assert same(before, state(net))
    fitted = list((cache / "guides").glob("*")) if recipe != "efficientnet_shallow" else []
    again = relume.invert(net, layer=layer, images=images, micro_batch=2, restarts=2, **FEW)
    assert torch.equal(made.images, again.images)
    assert len(fitted) == len(list((cache / "guides").glob("*"))) == (recipe != "efficientnet_shallow")


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_features_alone_give_the_same_bits_as_images(channels: int) -> None:
    torch.manual_seed(0)
    net, images = Net(channels), smooth(channels)
    wanted: dict[str, Any] = {
        "layer": {"conv": 1.0, "mix": 0.5},
        **FEW,
        **BLIND,
        "mean": [0.5] * channels,
        "std": [0.2] * channels,
    }
    options = {key: wanted[key] for key in ("layer", "mean", "std")}
    given = relume.features(net, images=images, **options)
    by_images = relume.invert(net, images=images, **wanted)
    by_features = relume.invert(net, features=given, size=SIZE, **wanted)
    assert torch.equal(by_images.images, by_features.images)
    assert by_features.originals is None
    assert by_images.feature_error == by_features.feature_error


def test_maps_with_channels_last_are_given_back_as_they_come() -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.turn = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Identity()

        def forward(self, x: Tensor) -> Any:
            return self.turn(self.conv(x).permute(0, 2, 3, 1))

    net = Last()
    assert relume.layers(net, size=SIZE)["turn"] == (16, 16, 8)
    given = relume.features(net, layer="turn", images=smooth())["turn"]
    assert given.shape == (1, 16, 16, 8)
    with torch.no_grad():
        torch.testing.assert_close(given, net(smooth()))
    assert relume.invert(net, layer="turn", features=given, size=SIZE, **FEW, **BLIND).feature_error[0] < 1


def test_the_pipeline_makes_the_same_bits(tmp_path: Path, net: Net) -> None:
    data = write_dataset(tmp_path / "data/images/toy", size=SIZE, splits=("test", "train"), each=3)
    rows = data.select("test")
    torch.manual_seed(0)
    work = Inversion(Source(Net(3)), "mix", data.pixels(rows), micro_batch=2, ids=data.ids(rows), steps=4, dataset="toy")
    made = work.run(progress=False)
    with work.source.borrow():
        staged = infer.work(
            name="toy",
            config=infer.replace(work.config, split="test"),
            run=work.settings,
            dataset=data,
            store=work.opened.store,
            device=torch.device("cpu"),
            scratch=Scratch(tmp_path / "scratch"),
        )
        images, index, trace, _ = infer.invert(staged)
    assert np.array_equal(images, to_uint8(made.images))
    assert [row.objective for row in index] == made.objective
    assert [row["value"] for row in trace] == [row["value"] for row in made.trace]


def test_the_configuration_that_a_model_carries_is_taken() -> None:
    vit = timm_net("vit_tiny_patch16_224", img_size=32)
    assert Source(vit).facts.mean == (0.5, 0.5, 0.5)
    assert Source(torchvision_net("resnet18")).facts.mean == (0.485, 0.456, 0.406)
    assert (Source(Net(4)).facts.mean, Source(Net(4)).channels, Source(Net(1)).default_size) == ((0.0,) * 4, 4, 224)
    assert Source(vit, mean=[0.1], std=[0.2]).facts.mean == (0.1, 0.1, 0.1)


def test_an_error_or_an_interrupt_leaves_nothing_behind_and_the_best_is_kept(net: Net) -> None:
    before, calls, broken = state(net), 0, {"layer": "mix", "images": smooth(1), **BLIND, **FEW}

    def failing(report: object) -> None:
        assert not net.training
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        relume.invert(net, on_step=failing, **broken)
    assert same(before, state(net))

    def struck(report: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt

    options: dict[str, Any] = {"settings": {**BLIND["settings"], "trace_every": 1}, "losses": BLIND["losses"]}
    made = relume.invert(net, layer="mix", images=smooth(1, 3), steps=9, progress=False, micro_batch=2, on_step=struck, **options)
    assert made.interrupted
    assert len(made) == 2  # of those that were begun
    assert same(before, state(net))


def test_images_of_every_kind(tmp_path: Path) -> None:
    pixels = (smooth(4)[0].permute(1, 2, 0) * 255).round().byte().numpy()
    Image.fromarray(pixels[..., :3]).save(tmp_path / "a.png")
    Image.fromarray(pixels).save(tmp_path / "b.png")
    rgb = torch.from_numpy(pixels[..., :3].copy()).permute(2, 0, 1).float() / 255
    for given in (
        "a.png",
        tmp_path / "a.png",
        Image.open(tmp_path / "a.png"),
        pixels[..., :3],
        pixels[..., :3] / 255,
        rgb,
        [rgb[None]],
    ):
        torch.testing.assert_close(load(given, size=SIZE, channels=3)[0], rgb, atol=1e-6, rtol=0)
    assert load(tmp_path, size=16, channels=1).shape == (2, 1, 16, 16)
    assert load(["a.png", "b.png"], size=16, channels=4)[0, 3].min() == 1
    over_white = load("b.png", size=SIZE, channels=3)
    assert (over_white - load(pixels, size=SIZE, channels=3)).abs().max() < 0.01
    with pytest.warns(UserWarning, match="enlarged"):
        load("a.png", size=64, channels=3)


def test_a_file_of_weights_is_read(tmp_path: Path, net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text("from tests.test_api import Net\n")
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    torch.save({"state_dict": {f"module.{name}": value for name, value in net.state_dict().items()}}, tmp_path / "net.pt")
    monkeypatch.syspath_prepend(tmp_path)
    expected = relume.features(net, layer="mix", images=smooth(1))["mix"]
    for file in ("net.safetensors", "net.pt"):
        found = relume.features("mine:Net", weights=tmp_path / file, layer="mix", images=smooth(1))
        assert torch.equal(found["mix"].cpu(), expected)
    torch.save(net, tmp_path / "whole.pt")
    save_file({"head.weight": torch.zeros(2, 8)}, tmp_path / "other.safetensors")
    faults: dict[str, tuple[str, str | None]] = {
        "whole.pt": ("mine:Net", "whole.pt"),
        "other.safetensors": ("mine:Net", "other.safetensors"),
        "none.safetensors": ("mine:Net", "none.safetensors"),
        "net.onnx": ("mine:Net", "ONNX"),
        "random": ("mine:Nett", "near: Net"),
    }
    for file, (name, told) in faults.items():
        with pytest.raises(UserError, match=told):
            relume.layers(name, weights=file if file == "random" else tmp_path / file)
    for name in ("timm:vit_tinny_patch16_224", "torchvision:resnet19", "nowhere:net", "mine:Net"):
        with pytest.raises(UserError, match=name.partition(":")[0 if name.startswith("mine") else 2]):
            relume.layers(name, weights=None if name.startswith("mine") else "random")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"layer": "cnv"}, "near: .*'conv'"),
        ({"layer": []}, "^layer"),
        ({"layer": {"conv": -1.0}}, "^layer"),
        ({"images": smooth(1) * 255}, "divide by 255"),
        ({"images": smooth(1) - 1}, "mean= and std="),
        ({"images": torch.rand(1, 5, 32, 32)}, "^images"),
        ({"images": torch.rand(1, 1, 4, 4), "size": None}, "^size"),
        ({"images": "nothing.png"}, "nothing.png"),
        ({"images": 3}, "^images"),
        ({"images": None}, "^images, features"),
        ({"images": None, "features": torch.rand(1, 8, 3, 3)}, r"^features.*\(N, 8, 16, 16\)"),
        ({"images": None, "features": {"mix": torch.rand(1, 8)}}, "^features.*conv"),
        ({"images": None, "features": torch.rand(1, 8, 16, 16), "losses": {"pixel": 1.0}}, "losses.pixel"),
        ({"steps": -3}, "^steps"),
        ({"restarts": 0}, "^restarts"),
        ({"learning_rate": -1}, "^learning_rate"),
        ({"losses": {"tvv": 1.0}}, "losses.tvv"),
        ({"losses": {"ref": 1.0}}, "losses.ref"),
        ({"losses": {"feature": 0.0, "tv": 0.0, "guide": 0.0}}, "^losses"),
        ({"settings": {"optimser": {}}}, "optimiser"),
        ({"settings": {"init": {"bas": 1}}}, "^init.bas"),
        ({"recipe": "tokens_depp"}, "tokens_deep"),
        ({"mean": [0.5, 0.5]}, "^mean"),
        ({"std": [0.0]}, "^std"),
        ({"seed": -1}, "seed"),
        ({"ids": ["a", "b"]}, "^ids"),
        ({"weights": "a.safetensors", "model": "alexnet_conv"}, "^weights"),
        ({"model": "alexnett_conv"}, "did you mean"),
        ({"model": "alexnet_conv", "layer": "conv22"}, "did you mean"),
        ({"model": 3}, "^model"),
        ({"size": 8, "model": "alexnet_conv", "layer": "conv2", "images": smooth()}, "^size"),
    ],
)
def test_faults_name_the_argument(net: Net, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], told: str) -> None:
    monkeypatch.setattr(inversion, "optimise", lambda *_: pytest.fail("the work began"))
    with pytest.raises(UserError, match=told):
        relume.invert(**{"model": net, "layer": "conv", "images": smooth(1), "size": SIZE, **FEW, **options})


def test_a_result_is_saved_shown_and_scored(tmp_path: Path, net: Net) -> None:
    made = relume.invert(net, layer="conv", images=smooth(1, 2), **FEW, **BLIND)
    folder = made.save(tmp_path / "made")
    assert {path.name for path in folder.iterdir()} == {"0000.png", "0001.png", "sheet.jpg", "result.json"}
    assert np.array_equal(np.asarray(Image.open(folder / "0001.png")), to_uint8(made.images)[1, ..., 0])
    assert made._repr_html_().count("<img") == 4
    scores = relume.evaluate(made)
    assert set(scores.index.get_level_values("method")) == {"inversion", "mean colour", "nearest"}
    assert {"psnr", "ssim", "feature_error"} <= {*scores.columns}
    assert scores.loc["inversion"].feature_error.mean() < scores.loc["mean colour"].feature_error.mean()
    own = relume.evaluate(made, smooth(1, 2), others=smooth(1, 2)).loc["nearest"]
    assert (own.feature_error == 0).all()
    assert (own.psnr == 100).all()
    with pytest.raises(UserError, match="originals"):
        relume.evaluate(made, smooth(1, 1))


def test_losses_that_look_at_the_images_make_an_oracle(net: Net) -> None:
    assert not relume.invert(net, layer="conv", images=smooth(1), **FEW, **BLIND).oracle
    seen = relume.invert(
        net,
        layer="conv",
        images=smooth(1),
        losses={"guide": 0.0, "pixel": 0.5, "feature": 0.0, "tv": 0.0},
        steps=60,
        progress=False,
    )
    assert seen.oracle
    assert (seen.images - smooth(1)).square().mean() < 0.005


def test_a_loss_of_ones_own(net: Net) -> None:
    def dark(state: State) -> Tensor:
        return state.images.flatten(1).mean(1) + 0 * state.features["Net"]["conv"].flatten(1).sum(1)

    bright = relume.invert(net, layer="conv", images=smooth(1), steps=20, progress=False, **BLIND)
    made = relume.invert(net, layer="conv", images=smooth(1), steps=20, progress=False, losses={dark: 50.0, "guide": 0.0})
    assert made.images.mean() < bright.images.mean() - 0.1
    assert "dark" in {row["term"] for row in made.trace}


def test_a_carried_guide_serves_where_nothing_has_changed(
    net: Net, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guides, "CARRIED", tmp_path / "fitted")
    monkeypatch.setattr(carrying, "CARRIED", tmp_path / "fitted")

    def work(**options: Any) -> Inversion:
        return Inversion(Source(net), "mix", smooth(1), **{"steps": 3, **options})

    first = work()
    fitted = first.run(progress=False)
    dataset = guides.training("photos", first.whole)
    with first.source.borrow():
        made = guides.fit(first.opened, first.config, dataset, progress=False)
        carrying.add("Net", "mix", made, guides.fitted_with(first.opened, first.config, dataset.manifest["index_sha256"]))
    shutil.rmtree(cache)  # neither the pictures nor the fit of before
    assert torch.equal(work().run(progress=False).images, fitted.images)
    assert not cache.exists()
    for options in ({"size": 24}, {"terms": {"guide": {"ridge": 7.0}}}):
        changed = work(**options)
        assert guides.carried(changed.opened, changed.config) is None
    write_dataset(cache / "images/photos", size=SIZE, splits=("train",), each=9)
    assert guides.carried(first.opened, first.config) is None
    shutil.rmtree(cache)
    net.head.bias.data += 1
    assert guides.carried(first.opened, first.config) is None


@pytest.mark.slow
@pytest.mark.parametrize("network", carrying.NETWORKS)
def test_the_carried_guides_belong_to_the_weights_in_packages(network: str, cache: Path) -> None:
    shutil.rmtree(cache)
    layers = guides.known(guides.CARRIED / f"{network}.safetensors")
    pictures = [astronaut(), coffee()]
    works = [Inversion(Source(network), layer, pictures, decoder="none") for layer in layers]
    for work in works:
        guide = guides.carried(work.opened, work.config)
        assert guide is not None, f"{network} {layers}: run python -m benchmarks.guides"
        read = guide.read(work.opened.features(work.originals, 2))
        truth = resize(work.originals, read.shape[-1])
        own, other = ((read - wanted).square().mean() for wanted in (truth, truth.flip(0)))
        assert own < other or "pool" in work.opened.weights  # of layout the pooled features say too little


def test_an_interrupt_while_the_guide_is_fitted_says_what_is_left(
    net: Net, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(net)

    def struck(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(guides.Provider, "guide", struck)
    with pytest.raises(KeyboardInterrupt):
        relume.invert(net, layer="mix", images=smooth(1), **FEW)
    assert "losses.guide=0" in capsys.readouterr().err
    assert same(before, state(net))
    assert not (cache / "guides").exists()


@pytest.mark.parametrize("layer", ["conv", "mix", "head"])
def test_a_decoder_learns_one_layer_and_is_read_again(tmp_path: Path, layer: str) -> None:
    torch.manual_seed(0)
    net, images = Net(3), smooth(count=10)
    before = state(net)
    decoder = relume.Decoder.train(net, layer, images, folder=tmp_path / "mine", steps=2, settings={"losses": {"lpips": 0.0}})
    made = decoder(images)
    assert made.shape == images.shape
    given = relume.features(net, layer=layer, images=images)
    torch.testing.assert_close(decoder(features=given[layer]), made)
    torch.testing.assert_close(relume.Decoder.load(tmp_path / "mine", net)(images), made)
    torch.testing.assert_close(relume.Decoder.load(tmp_path / "mine")(features=given), made)
    still: dict[str, Any] = {"learning_rate": 1e-9, "steps": 1, "progress": False}
    begun = relume.invert(net, layer=layer, images=images, decoder=decoder, restarts=2, **still)
    torch.testing.assert_close(begun.images, made, atol=0.02, rtol=0)
    assert not (tmp_path / "cache/relume/guides").exists(), "the decoder's image is the guide"
    assert same(before, state(net))
    with pytest.raises(UserError, match=f"decoder: .* is for {layer} .*, not drop"):
        relume.invert(net, layer="drop", images=images, decoder=decoder, **still)
    with pytest.raises(UserError, match="decoder: unknown name 'nobody'"):
        relume.invert(net, layer=layer, images=images, decoder="nobody", **still)
    with pytest.raises(UserError, match="model"):
        relume.Decoder.load(tmp_path / "mine")(images)
    with pytest.raises(UserError, match="channels"):
        relume.Decoder.train(Net(1), layer, images)
