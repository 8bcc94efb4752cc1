"""The stage `maps` on toy files, what it refuses, and what the parameters must agree in."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner, Result

from relume.core.errors import UserError
from relume.core.files import read_csv
from relume.core.images import to_float, to_uint8
from relume.data.store import Dataset
from relume.evaluation.pixel import psnr
from relume.methods.decoder.codec import codecs
from relume.methods.decoder.trained import read_decoder
from relume.networks import network as networks
from relume.networks.taps import collect
from stages import maps
from tests.decoder_files import CPU, Store, dataset
from tests.maps_files import write_decoder
from tests.test_evaluation_maps import config

DECODERS = {"deep": ["conv5"], "vector": ["pool"], "both": ["conv5", "conv2"]}
METRICS = ("psnr", "ssim", "lpips_alex", "lpips_vgg")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with decoders of random weights of a network of random weights."""
    data = dataset(tmp_path / "data/images")
    for name, taps in DECODERS.items():
        write_decoder(tmp_path / "models/decoder" / name, data, taps)
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"maps": {"deps": []}}}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    monkeypatch.setattr("relume.params.check", lambda whole: None)
    monkeypatch.setattr(maps, "WeightStore", lambda *folders: Store())
    return tmp_path


def run(out: str = "metrics/maps", **differences: Any) -> Result:
    section = asdict(config(groups=2, pictures=2, probes=1, metrics=METRICS, shown=1, count=3)) | differences
    params: dict[str, Any] = {
        "run": {"seed": 0, "device": "cpu", "precision": "float32", "threads": 1, "micro_batch": 2},
        "maps": section,
        "compare": {"resamples": 1000, "level": 0.95},
    }
    Path("params.yaml").write_text(yaml.safe_dump({key: _plain(value) for key, value in params.items()}))
    options = {"--images": "data/images/toy", "--weights": "models/weights", "--models": "models/decoder", "--out": out}
    return CliRunner().invoke(maps.main, [part for pair in options.items() for part in pair])


def _plain(section: dict[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in section.items()}


def test_from_decoders_to_tables_and_sheets(project: Path) -> None:
    done = run(decoders=["deep", "vector"])
    assert done.exit_code == 0, done.output
    out = project / "metrics/maps"
    assert sorted(path.name for path in out.iterdir()) == ["channels.csv", "deep.jpg", "maps.csv", "vector.jpg"]
    table = read_csv(out / "maps.csv")
    assert [row["decoder"] for row in table] == ["deep"] * 13 + ["vector"] * 13
    assert {(row["network"], row["tap"], row["n"], row["sources"]) for row in table} == {
        ("alexnet_conv", "conv5", "3", "2"),
        ("alexnet_conv", "pool", "3", "2"),
    }
    for row in table:
        if row["action"] != "intact":
            assert row["psnr_change_lo"]
            assert row["lpips_vgg_change_hi"]
            assert (row["lpips_alex_change"] != "", row["lpips_alex_change_lo"]) == (True, ""), "circular: it proves nothing"
    data, decoder = Dataset.open(project / "data/images/toy"), read_decoder(project / "models/decoder/deep", CPU)
    images = data.pixels(data.select("test", 3))
    with torch.no_grad(), collect(networks.random("alexnet_conv"), ["conv5"]) as tapped:
        pictures = to_float(to_uint8(decoder.module(tapped(images))))
    assert float(table[0]["psnr"]) == pytest.approx(float(psnr(pictures, images).mean()), abs=0.01)

    assert run("again", decoders=["deep", "vector"]).exit_code == 0
    assert all((project / "again" / path.name).read_bytes() == path.read_bytes() for path in out.iterdir())


def test_features_as_vectors_and_zeros_for_means(project: Path) -> None:
    for fill in ("mean", "zero"):
        assert run(fill, decoders=["vector"], fill=fill, metrics=["psnr"], rankings=["contribution"]).exit_code == 0
    one, other = (read_csv(project / fill / "maps.csv") for fill in ("mean", "zero"))
    assert one[0]["psnr"] == other[0]["psnr"]
    assert {row["fill"] for row in other} == {"zero"}
    assert read_csv(project / "zero/channels.csv")[0]["activation"] == "", "not asked for"


@pytest.mark.parametrize(
    ("differences", "words"),
    [
        ({"decoders": ["nobody"]}, "models/decoder/nobody/model.json is missing"),
        ({"decoders": ["both"]}, "decoder both is of conv5+conv2: one tap is wanted"),
        ({"decoders": ["deep"], "count": 9}, "needs 9 images of test, the dataset has 4"),
        ({"decoders": ["deep"], "metrics": ["feature_error"]}, "maps.metrics: unknown metric 'feature_error'"),
        ({"decoders": ["deep", "deep"]}, "maps.decoders: each once"),
        ({"decoders": ["deep"], "rankings": ["size"]}, "maps.rankings.0: Input should be 'activation' or 'contribution'"),
    ],
)
def test_a_fault_leaves_no_folder_and_names_itself(project: Path, differences: dict[str, Any], words: str) -> None:
    done = run(**differences)
    assert done.exit_code == 1
    assert words in done.output
    assert not Path("metrics").exists()


def test_a_codec_wants_the_pictures_and_features_of_the_training(project: Path) -> None:
    data, folder = Dataset.open(project / "data/images/toy"), project / "models/decoder/deep"
    (one,) = codecs([folder], data, Store(), CPU)  # type: ignore[arg-type]
    assert one.decode(one.encode([0, 1])).shape == (2, 3, 64, 64)
    for attribute, value, message in (("size", 32, "pictures of 32 px"), ("shapes", {"conv5": (256, 2, 2)}, "was trained on")):
        decoder = replace(one.decoder, card={**one.decoder.card, attribute: value})
        with pytest.raises(UserError, match=message):
            type(one)(**{**vars(one), "decoder": decoder}).encode([0])
