"""`relume decode` and `api.decode`: a picture's features through a trained decoder, and faults before a network is loaded."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from relume import api
from relume.cli import show
from relume.cli.main import main
from relume.core.errors import UserError
from relume.core.images import to_uint8
from relume.networks import network as networks
from tests.decoder_files import SIZE, dataset
from tests.maps_files import write_decoder


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
    monkeypatch.setattr(api, "load", lambda name, store, device: networks.random(name, seed=0))
    return tmp_path


def call(*words: str, decoder: str = "toy") -> Result:
    return CliRunner().invoke(main, ["decode", "my.png", "--decoder", decoder, *words])


def seen() -> dict[str, torch.Tensor]:
    return api.features(api.picture("my.png", SIZE), "alexnet_conv", ["conv2", "conv3"])


def test_original_and_decoded_stand_side_by_side_with_true_numbers(project: Path) -> None:
    done = call()
    assert done.exit_code == 0, done.output
    pixels = np.asarray(Image.open("my_decoded_toy.png"))
    assert pixels.shape == (SIZE, 2 * SIZE + 2, 3)
    original, decoded = pixels[:, :SIZE] / 255, pixels[:, SIZE + 2 :] / 255
    assert (pixels[:, :SIZE] == to_uint8(api.picture("my.png", SIZE))[0]).all()
    reached = -10 * np.log10(np.square(original - decoded).mean())
    floor = -10 * np.log10(np.square(original - (255 * original.mean((0, 1))).round() / 255).mean())
    assert f"my_decoded_toy.png\nPSNR {reached:.2f} dB; baseline (mean colour) {floor:.2f} dB\n" in done.output
    assert "toy: alexnet_conv conv3+conv2, 64 px\n" in done.output
    assert show.UPPER not in done.output


def test_the_decoded_picture_is_the_modules(project: Path) -> None:
    reader = api.decoder("toy", decoders=project / api.DECODERS)
    features = seen()
    with torch.no_grad():
        wanted = to_uint8(reader.module(features))
    assert wanted.shape == (1, SIZE, SIZE, 3)
    for by in (reader, project / "models/decoder/toy", "toy"):
        assert (api.decode(features, by, decoders=project / api.DECODERS) == wanted).all()
    halves = api.decode({tap: value.half() for tap, value in features.items()}, reader)  # as they lie in the cache
    assert np.abs(halves.astype(int) - wanted).max() <= 1
    shutil.move(project / "models/decoder/toy", "mine")
    assert call("--out", "o.png", decoder="mine").exit_code == 0, "a decoder lies anywhere"
    assert (np.asarray(Image.open("o.png"))[:, SIZE + 2 :] == wanted[0]).all()


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
    monkeypatch.setattr(api, "load", lambda *_: pytest.fail("a network was loaded"))
    done = call(*words, decoder=decoder)
    assert done.exit_code == 1, done.output
    assert told in done.output
    assert [path.name for path in Path().iterdir()] == ["my.png"]


def test_what_is_missing_is_named_with_the_command_that_brings_it(project: Path) -> None:
    Path("my.png").rename("other.png")
    assert "my.png" in (done := call()).output
    assert done.exit_code == 1
    shutil.rmtree(project / "models/weights")
    assert "dvc repro weights" in call().output
    shutil.rmtree(project / "models/decoder")
    assert "dvc repro train_decoder" in call().output


def test_other_features_than_the_decoders_are_refused(project: Path) -> None:
    reader, features = api.decoder("toy", decoders=project / api.DECODERS), seen()
    larger = api.features(torch.rand(1, 3, 2 * SIZE, 2 * SIZE), "alexnet_conv", ["conv2", "conv3"])
    for given, told in (({"conv2": features["conv2"]}, "missing: conv3"), ({}, "conv3, conv2"), (larger, "toy was trained")):
        with pytest.raises(UserError, match=told):
            api.decode(given, reader)
