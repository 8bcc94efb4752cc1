"""`relume decode` and `relume.Decoder`: a picture's features through a trained decoder, and faults before a network is loaded."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from relume.api import decoding, models
from relume.api.decoding import Decoder
from relume.api.inversion import Inversion
from relume.api.models import Source
from relume.api.pictures import load
from relume.cli import show
from relume.cli.main import main
from relume.core.errors import UserError
from relume.core.images import to_uint8
from relume.core.sheet import LINE
from relume.methods.decoder import shipped
from relume.methods.decoder.infer import apply
from relume.methods.decoder.model import read_decoder
from relume.networks import network as networks
from tests.decoder_files import SIZE, dataset, write_decoder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with a decoder of random weights, a card of weights, and a picture in a folder below, where the caller stands."""
    write_decoder(tmp_path / "models/decoder/toy", dataset(tmp_path / "data/images"), ["conv3", "conv2"])
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "models/weights/alexnet_conv").mkdir(parents=True)
    (tmp_path / "models/weights/alexnet_conv/model.json").write_text(json.dumps({"name": "alexnet_conv"}))
    (tmp_path / "here").mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (4, 6, 3), dtype=np.uint8).repeat(20, 0).repeat(20, 1)
    Image.fromarray(pixels).save(tmp_path / "here/my.png")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def random(name: str, store: Any, device: object) -> networks.Network:
        store.folder(name)
        return networks.random(name, seed=0)

    monkeypatch.setattr(models, "load_network", random)
    return tmp_path


def call(*words: str, decoder: str = "toy", fails: bool = False) -> Result:
    done = CliRunner().invoke(main, ["decode", "my.png", "--decoder", decoder, *words])
    assert done.exit_code == int(fails), done.output
    return done


def seen() -> dict[str, torch.Tensor]:
    return Decoder.load("toy").features(load("my.png", size=SIZE, channels=3))


def test_original_and_decoded_stand_side_by_side_with_true_numbers(project: Path) -> None:
    done = call()
    pixels = np.asarray(Image.open("my_decoded_toy.png"))[LINE:]
    assert pixels.shape == (SIZE, 2 * SIZE + 2, 3)
    original, decoded = pixels[:, :SIZE] / 255, pixels[:, SIZE + 2 :] / 255
    assert (pixels[:, :SIZE] == to_uint8(load("my.png", size=SIZE, channels=3))[0]).all()
    reached = -10 * np.log10(np.square(original - decoded).mean())
    floor = -10 * np.log10(np.square(original - (255 * original.mean((0, 1))).round() / 255).mean())
    assert f"my_decoded_toy.png\nPSNR {reached:.2f} dB; baseline (mean colour) {floor:.2f} dB\n" in done.output
    assert "toy: alexnet_conv conv3+conv2, 64 px\n" in done.output
    assert show.UPPER not in done.output


def test_the_decoded_picture_is_the_modules(project: Path) -> None:
    decoder, features = Decoder.load("toy"), seen()
    with torch.no_grad():
        expected = decoder.trained.module(features)
    assert expected.shape == (1, 3, SIZE, SIZE)
    for by in (decoder, Decoder.load(project / "models/decoder/toy")):
        assert torch.equal(by(features=features), expected)
        assert torch.equal(by("my.png"), expected)
    halves = decoder(features={tap: value.half() for tap, value in features.items()})  # as they lie in the cache
    torch.testing.assert_close(halves, expected, atol=0.01, rtol=0)
    shutil.move(project / "models/decoder/toy", "mine")
    call("--out", "o.png", decoder="mine")  # a decoder lies anywhere
    assert (np.asarray(Image.open("o.png"))[LINE:, SIZE + 2 :] == to_uint8(expected)[0]).all()


def test_on_a_terminal_the_picture_is_shown(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show, "can_show", lambda out: True)
    assert show.UPPER in call().output
    assert show.UPPER not in call("--no-picture").output


@pytest.mark.parametrize(
    ("words", "decoder", "told"),
    [
        ((), "toyy", "did you mean 'toy'"),
        ((), "../models/weights/alexnet_conv", "alexnet_conv: needs a model of kind 'decoder'"),
        (("--out", "my.png"), "toy", "--out my.png"),
        (("--out", "o.jpg"), "toy", "o.jpg"),
        (("--out", "../here"), "toy", "../here"),
    ],
)
def test_a_fault_is_told_before_any_work(
    project: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], decoder: str, told: str
) -> None:
    monkeypatch.setattr(Decoder, "__call__", lambda *_: pytest.fail("the work began"))
    done = call(*words, decoder=decoder, fails=True)
    assert told in done.output
    assert [path.name for path in Path().iterdir()] == ["my.png"]


def test_what_is_missing_is_named_with_the_command_that_brings_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("my.png").rename("other.png")
    assert "my.png" in call(fails=True).output
    shutil.rmtree(project / "models/decoder")
    assert "dvc repro train_decoder" in call(fails=True).output


def test_decoders_that_ship_are_found_by_name_and_the_projects_own_come_first(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "SHIPPED", project / "shipped")
    for name in ("toy", "carried"):
        write_decoder(project / "shipped" / name, dataset(project / "data/again" / name), ["conv2"])
    assert (Decoder.load("toy").trained.taps, Decoder.pretrained("toy").trained.taps) == (("conv3", "conv2"), ("conv2",))
    call(decoder="carried")
    with pytest.raises(UserError, match="carried"):
        Decoder.pretrained("carrie")


def test_inversions_begin_with_the_decoder_that_ships_for_the_layer(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "SHIPPED", project / "shipped")
    write_decoder(project / "shipped/carried", dataset(project / "data/again"), ["conv2"])

    def begun(layer: str = "conv2", size: int = SIZE, **options: Any) -> str | None:
        found = Inversion(Source("alexnet_conv"), layer, "my.png", size=size, **options).decoder
        return found.name if found else None

    assert (begun(), begun(recipe="alexnet_deep", decoder="carried")) == ("carried", "carried")
    assert {begun("conv3"), begun(size=96), begun(decoder="none"), begun(recipe="alexnet_deep")} == {None}


@pytest.mark.parametrize("name", shipped.cards())
def test_what_ships_loads_and_says_what_it_is(name: str) -> None:
    trained = read_decoder(shipped.SHIPPED / name, torch.device("cpu"))
    assert trained.name == name
    assert trained.card["test"]["n"] >= 50
    assert trained.card["licence"]
    made = apply(trained, {tap: torch.rand(1, *shape) for tap, shape in trained.shapes.items()})
    assert made.shape == (1, 3, trained.size, trained.size)


def test_what_ships_is_small() -> None:
    assert decoding.DEFAULT in shipped.cards()
    assert sum(path.stat().st_size for path in shipped.SHIPPED.rglob("*")) < 25e6


def test_other_features_than_the_decoders_are_refused(project: Path) -> None:
    decoder, features = Decoder.load("toy"), seen()
    larger = {tap: value.repeat(1, 1, 2, 2) for tap, value in features.items()}
    for given, told in (({"conv2": features["conv2"]}, "conv3"), ({}, "conv3, conv2"), (larger, "toy was trained")):
        with pytest.raises(UserError, match=told):
            decoder(features=given)
    with pytest.raises(UserError, match="images, features"):
        decoder()


def test_all_methods_at_hand_stand_on_one_page(project: Path) -> None:
    def compare(*words: str) -> Result:
        return CliRunner().invoke(main, ["compare", "my.png", "--size", "64", "--steps", "2", *words])

    done = compare("--layer", "conv1", "--layer", "conv2")
    assert done.exit_code == 0, done.output
    page = Path("my_compared.html").read_text()
    shown = 5 + len([card for card in shipped.cards().values() if card["config"]["network"] == "alexnet_conv"])
    assert page.count("<img") == page.count("data:image/png") == shown, "original, mean colour, two layers, decoders"
    assert [part for part in ("conv1, optimisation", "conv2, optimisation", "decoder toy") if part not in page] == []
    assert "http" not in page
    for words, told in ((("--out", "my.png"), "--out"), (("--layer", "conv9"), "conv9"), (("--network", "vgg16"), "--layer")):
        done = compare(*words)
        assert (done.exit_code, told in done.output) == (1, True), done.output
