"""Features from the cache: training and decoding agree with computed features, and no network is loaded."""

from pathlib import Path
from typing import Any

import pytest
import torch

from relume.core.errors import UserError
from relume.core.files import read_json, write_json
from relume.data.store import Dataset
from relume.methods.decoder.train import DecoderTrainer
from relume.networks import network as networks
from relume.networks.extract import ForwardPass, Pictures, extract
from relume.training.loop import LOSS, train
from tests import decoder_files
from tests.decoder_files import CPU

FOLDER = Path("data/features/toy/alexnet_conv")
UNTOUCHED = {"augment": {"flip": False, "crop": 0.0, "colour": 0.0}}


@pytest.fixture(scope="module")
def folder(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of 1 MiB: all taps of AlexNet except the first two."""
    folder = tmp_path_factory.mktemp("features") / FOLDER
    through = ForwardPass(network=networks.random("alexnet_conv"), device=CPU, micro_batch=4)
    extract(through, Pictures(dataset="toy", images=data.images, sample=[0, 1, 2], split="train"), folder, budget_mb=1)
    return folder


def toy(data: Dataset, folder: Path | None, **differences: Any) -> DecoderTrainer:
    """With its features from the folder, or computed where there is none."""
    where = {} if folder is None else {"features": str(FOLDER)}
    return decoder_files.toy(data, folder, **UNTOUCHED | where | {"taps": ["conv5", "pool"]} | differences)


def test_decoding_from_the_cache(data: Dataset, folder: Path) -> None:
    """Half precision changes no pixel by more than one of 255 steps."""
    computed, cached = toy(data, None), toy(data, folder)
    done = train(computed)
    cached.module.eval().load_state_dict(done.best)
    one, other = (made.preview().astype(int) for made in (computed, cached))
    assert (one[0] == other[0]).all()
    assert abs(one[1] - other[1]).max() <= 1
    assert one[1].std() > 1
    rows = cached.val
    for tap, value in cached.encode(rows, cached.pixels(rows)).items():
        wanted = computed.encode(rows, cached.pixels(rows))[tap]
        assert value.dtype == torch.float32
        assert torch.allclose(value, wanted, rtol=2**-10, atol=1e-6)


@pytest.mark.parametrize("losses", [{}, {"lpips": 0.1}, {"feature": 0.3, "adversarial": 0.1}], ids=["pixel", "lpips", "more"])
def test_training_from_the_cache(data: Dataset, folder: Path, losses: dict[str, float]) -> None:
    pair = [toy(data, where, losses=losses) for where in (None, folder)]
    assert [made.validate()[LOSS] for made in pair] == pytest.approx([pair[0].validate()[LOSS]] * 2, rel=1e-2)
    first, second = (made.loss([0, 3], [torch.Generator()] * 2) for made in pair)
    assert {name: float(value.detach()) for name, value in first.items()} == pytest.approx(
        {name: float(value.detach()) for name, value in second.items()}, rel=1e-2
    )


def test_cached_taps_load_no_network(data: Dataset, folder: Path) -> None:
    assert set(toy(data, folder).networks) == set()
    assert set(toy(data, folder, losses={"feature": 0.3}).networks) == {"alexnet_conv"}
    vgg = {"losses": {"lpips": 0.1}, "measures": {"lpips": {"network": "vgg"}}}
    assert set(toy(data, folder, **vgg).networks) == {"vgg16_conv"}


def test_invalid_caches(data: Dataset, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="conv1.*extract.cached.*alexnet_conv.*extract.budget_mb"):
        toy(data, folder, taps=["conv1"])
    about = read_json(folder / "stats.json")
    write_json(tmp_path / "stats.json", about | {"dataset": "other"})
    with pytest.raises(UserError, match=r"\('other', 'alexnet_conv', 12\), .*\('toy', 'alexnet_conv', 12\)"):
        toy(data, tmp_path)
    with pytest.raises(UserError, match="features.*no folder"):
        decoder_files.toy(data, None, **UNTOUCHED, features=str(FOLDER))
