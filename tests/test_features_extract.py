"""Extraction: statistics by hand, caches within the budget and in the dataset's order, complete folders only."""

import numpy as np
import pytest
import torch

from relume.core.errors import UserError
from relume.core.files import read_json
from relume.core.images import to_float
from relume.networks import network as networks
from relume.networks.extract import ForwardPass, Pictures, extract, within_budget
from relume.networks.store import Features
from relume.networks.taps import collect

CPU = torch.device("cpu")
IMAGES = np.random.default_rng(0).integers(0, 256, (11, 40, 40, 3), dtype=np.uint8)
SAMPLE = [9, 2, 5, 7, 1]


def run(folder, *, network="alexnet_conv", sample=SAMPLE, budget_mb=1, micro_batch=2, kept=None):
    through = ForwardPass(network=networks.random(network, seed=4), device=CPU, micro_batch=micro_batch)
    pictures = Pictures(dataset="tiny", images=IMAGES, sample=sample, split="train", kept=kept)
    extract(through, pictures, folder, budget_mb=budget_mb)
    return Features.open(folder)


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return run(tmp_path_factory.mktemp("features") / "tiny" / "alexnet_conv")


@pytest.fixture(scope="module")
def direct():
    network = networks.random("alexnet_conv", seed=4)
    with collect(network, list(network.facts.taps)) as taps, torch.no_grad():
        return {tap: value.double() for tap, value in taps(to_float(IMAGES)).items()}


def test_statistics_are_those_of_the_sample(features, direct):
    assert set(features.described["taps"]) == set(direct)
    assert features.described["order"] == list(direct)  # from shallow to deep
    assert (features.described["n"], features.described["split"], features.described["pictures"]) == (5, "train", 11)
    for tap, value in direct.items():
        sample = value[SAMPLE].flatten(1)
        spread = (sample - sample.mean(0)).square().sum(1).mean().item()
        stats = features.stats(tap)
        assert stats["shape"] == list(value.shape[1:])
        assert stats["msd"] == pytest.approx(spread, rel=1e-5)  # the last bits depend on the micro-batch
        assert stats["mean_norm"] == pytest.approx(sample.norm(dim=1).mean().item(), rel=1e-5)


def test_cached_taps_hold_every_picture_in_order(features, direct):
    cached = [tap for tap in direct if features.values(tap) is not None]
    assert {"pool", "pool_pre"} <= set(cached)
    for tap in cached:
        values = features.values(tap)
        assert isinstance(values, np.memmap)
        assert values.dtype == np.float16
        np.testing.assert_allclose(values.astype(np.float64), direct[tap].numpy(), rtol=2e-3, atol=1e-4)


def test_features_of_selected_images(features, tmp_path):
    some = run(tmp_path / "out", kept=[0, 2, 4, 10])  # 2 is of the sample
    np.testing.assert_array_equal(some.of("pool", [10, 2]), features.of("pool", [10, 2]))
    assert some.of("pool", [2, 3]) is None
    assert some.stats("pool") == features.stats("pool")


def test_budget_takes_the_smallest_first():
    shapes = {"big": (512, 1024), "small": (8,), "middle": (256, 1024)}  # 1 MiB, 16 bytes, 0.5 MiB a picture
    assert within_budget(shapes, 4, 0) == []
    assert within_budget(shapes, 4, 2) == ["small"]
    assert within_budget(shapes, 4, 3) == ["small", "middle"]
    assert within_budget(shapes, 4, 7) == ["big", "small", "middle"]


def test_zero_budget_and_too_few_images(tmp_path):
    features = run(tmp_path / "out", budget_mb=0)
    assert features.values("pool") is None
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["stats.json"]
    with pytest.raises(UserError, match="tiny: .*train"):
        run(tmp_path / "one", sample=[0])
    assert not (tmp_path / "one").exists()


def test_equal_bytes(tmp_path):
    run(tmp_path / "a")
    run(tmp_path / "a")  # over what is there
    run(tmp_path / "b")
    first, second = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in "ab")
    assert first == second
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_float16_overflow_raises(tmp_path):
    network = networks.random("identity")
    network.body.forward = lambda images: images * 1e6
    pictures = Pictures(dataset="tiny", images=IMAGES, sample=SAMPLE, split="all")
    with pytest.raises(UserError, match="tap pixels"):
        extract(ForwardPass(network=network, device=CPU, micro_batch=2), pictures, tmp_path / "out", budget_mb=1)
    assert list(tmp_path.iterdir()) == []


def test_missing_files_and_taps(features, tmp_path):
    with pytest.raises(UserError, match="no tap 'conv9'; did you mean 'conv"):
        features.stats("conv9")
    with pytest.raises(UserError, match=r"stats\.json is missing"):
        Features.open(tmp_path)


def test_small_spreads_are_exact(tmp_path):
    """Images that differ by one grey level: the spread is a millionth of the norm."""
    images = np.full((4, 16, 16, 3), 200, np.uint8)
    images[0] += 1
    through = ForwardPass(network=networks.random("identity"), device=CPU, micro_batch=3)
    extract(through, Pictures(dataset="flat", images=images, sample=range(4), split="all"), tmp_path / "out", budget_mb=0)
    stats = read_json(tmp_path / "out" / "stats.json")["taps"]["pixels"]
    assert stats["msd"] == pytest.approx(16 * 16 * 3 * (1 / 255) ** 2 * 3 / 16, rel=1e-4)
