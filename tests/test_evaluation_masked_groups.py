"""A masked group through `evaluate`: pasted images, masks, sets; baselines of masked images."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.core.images import to_float
from relume.core.results import RATIO, read_group, write_group
from relume.core.runtime import generator
from relume.data.config import Masks
from relume.data.masks import in_pixels, masks_of
from relume.data.store import Dataset
from relume.evaluation.config import Sets
from relume.evaluation.masked import (
    COLUMNS,
    FILLERS,
    inverse_distance,
    inverse_distance_pixels,
    mean_patch,
    mean_visible,
    nearest_visible,
    paste,
)
from relume.evaluation.masked import score as masked_score
from relume.evaluation.metrics import METHOD
from relume.evaluation.perceptual import extractor
from relume.evaluation.scoring import MASKED_COLUMNS, Scorer, read, score
from relume.evaluation.sets import MetricNetwork, frechet, gaussian, open_metric_network, set_rows
from relume.networks import network as networks
from relume.networks.taps import collect
from relume.networks.weights import WeightStore
from tests.evaluation_files import kid, row, write_dataset, write_reconstructions

CPU = torch.device("cpu")
RATIOS = (0.5, 0.75)
METHODS = ("same", "wrong")
MASKED = {"task": "masked", "family": "masked", "network": "", "tap": ""}


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return write_dataset(tmp_path / "images" / "toy", each=8)


def hidden(data: Dataset, ratio: float) -> np.ndarray:
    numbers = data.select("test")
    return masks_of(data.ids(numbers), 4, Masks(pattern="random", ratio=ratio, cell=8), 0).numpy()


def write(folder: Path, data: Dataset, *, shown: float = 0.0) -> Path:
    """`same` predicts the images, `wrong` their negatives; both have `shown` in the visible part, which pasting replaces."""
    numbers = data.select("test")
    masks = np.concatenate([hidden(data, ratio) for ratio in RATIOS])
    dark = masks.repeat(8, 1).repeat(8, 2)[..., None]
    originals = np.tile(data.images[numbers], (len(RATIOS), 1, 1, 1))
    guesses = np.concatenate([np.where(dark, x, int(255 * shown)) for x in (originals, 255 - originals)]).astype(np.uint8)
    write_group(
        folder,
        images=guesses,
        masks=np.tile(masks, (2, 1, 1)),
        ratios=[ratio for _ in METHODS for ratio in RATIOS for _ in numbers],
        rows=[row(name, id, **MASKED) for name in METHODS for _ in RATIOS for id in data.ids(numbers)],
        method={"device": "cpu"},
    )
    return folder


def scored(folder: Path, data: Dataset, weights: Path, micro_batch: int = 3) -> list[dict[str, Any]]:
    group, masks = read(folder)
    metrics = ("psnr", "lpips_alex")
    networks = extractor(metrics, [], WeightStore(weights), CPU)
    tools = Scorer(datasets={"toy": data}, extractor=networks, scales={}, metrics=metrics, micro_batch=micro_batch, device=CPU)
    return score(group, tools, masks=masks)


def network_of(weights: Path, *sizes: int) -> MetricNetwork:
    asked = Sets(network="alexnet_conv", tap="pool")
    found = open_metric_network(asked, sizes or [32], WeightStore(weights), device=CPU, micro_batch=3)
    assert found is not None
    return found


def test_masked_scores_and_faults(tmp_path: Path, data: Dataset, weights: Path) -> None:
    rows = scored(write(tmp_path / "g", data), data, weights)
    assert len(rows) == 32
    assert set(rows[0]) == set(MASKED_COLUMNS) - {"lpips_vgg"}
    assert [line[RATIO] for line in rows[:9]] == ["0.5"] * 8 + ["0.75"]
    same, wrong = rows[0], rows[24]
    assert same["psnr_masked"] == same["psnr_pasted"] == 100 > same["psnr_full"]
    assert same["lpips_alex"] == pytest.approx(0, abs=1e-6)
    negative = 255 - 2 * data.images[data.select("test")[0]].astype(float)
    dark = hidden(data, 0.75)[0].repeat(8, 0).repeat(8, 1)
    assert wrong["mse_masked"] == pytest.approx(np.square(negative[dark] / 255).mean(), rel=1e-4)
    assert wrong["lpips_alex"] > 0.01
    folder = write(tmp_path / "g", data)
    masks = np.load(folder / "masks.npy")
    for wrong in (~masks[:, :2], masks[::-1], np.ones_like(masks)):
        np.save(folder / "masks.npy", wrong)
        with pytest.raises(UserError, match=r"masks.npy"):
            read(folder)
    np.save(folder / "masks.npy", masks)
    index = (folder / "index.csv").read_text().splitlines()
    (folder / "index.csv").write_text("\n".join([*index[:2], index[1], *index[3:]]) + "\n")
    with pytest.raises(UserError, match=r"line 3.*test0"):
        scored(folder, data, weights)


def test_masked_sets(tmp_path: Path, data: Dataset, weights: Path) -> None:
    group, masks = read(write(tmp_path / "g", data))
    assert masks is not None
    net = networks.load("alexnet_conv", WeightStore(weights))
    metric_network = network_of(weights)
    rows = set_rows(group, masks, {"toy": data}, metric_network, 0)
    assert [line["name"] for line in rows] == ["same@0.5", "same@0.75", "wrong@0.5", "wrong@0.75", "originals@test"]
    assert {(line["dataset"], line["net"]) for line in rows} == {("toy", "alexnet_conv_pool")}
    assert [(line["kind"], line["n"]) for line in rows[3:]] == [("masked", 8), ("real", 4)]
    for line in rows[:2]:
        measured = [line[name] for name in ("fd", "kid", "kid_lo", "kid_hi")]
        assert measured == pytest.approx([0, 0, 0, 0], abs=1e-6)
    with collect(net, ["pool"]) as taps:
        originals = data.pixels(data.select("test"))
        pasted = paste(to_float(group.images[24:]), originals, torch.from_numpy(np.array(masks[24:])))
        x, y = (taps(pictures)["pool"].double() for pictures in (pasted, originals))
    last = rows[3]
    assert last["fd"] == pytest.approx(frechet(gaussian(x), gaussian(y)), rel=1e-3)
    sources = torch.arange(4).repeat_interleave(2)
    assert last["kid"] == pytest.approx(kid(x, y, sources, sources), rel=1e-3)
    assert float(str(last["kid_lo"])) <= float(str(last["kid"])) <= float(str(last["kid_hi"]))
    assert "kid_lo" not in rows[4], "two sources in each half: no interval"
    assert set_rows(group, masks, {"toy": data}, metric_network, 0) == rows


TOLD = (("good", "alexnet_conv", "conv2"), ("bad", "", ""))


def test_method_sets(tmp_path: Path, data: Dataset, weights: Path) -> None:
    """A perfect method is nearer to the split than its negative; FD is empty, since 8 images are fewer than 256 channels."""
    rows = [row(name, id, network=net, tap=tap) for name, net, tap in TOLD for id in data.ids(data.select("test"))]
    write_reconstructions(tmp_path / "g", rows, np.concatenate([data.images[:8], 255 - data.images[:8]]))
    metric_network = network_of(weights)
    good, bad, real = set_rows(read_group(tmp_path / "g"), None, {"toy": data}, metric_network, 0)
    assert [good["name"], bad["name"], real["kind"]] == ["good@alexnet_conv conv2", "bad", "real"]
    assert good["kind"] == bad["kind"] == METHOD
    assert (good["fd"], bad["fd"], real["fd"], good["n"]) == (None, None, None, 8)
    assert good["kid"] == pytest.approx(0, abs=1e-6)
    assert float(str(bad["kid"])) > 0
    with pytest.raises(UserError, match=r"evaluate.sets.network: .*31 px.* 16"):
        network_of(weights, 32, 16)


ALL = {**FILLERS, "floor_mean_patch": mean_patch(torch.full((1, 3, 8, 8), 0.25))}
IDS = ["a", "b", "c"]


def greys(values: list[float], cell: int = 1) -> Tensor:
    side = len(values)
    return torch.tensor(values).expand(1, 3, side, side).repeat_interleave(cell, 2).repeat_interleave(cell, 3).contiguous()


def mask(*visible: tuple[int, int], side: int = 3) -> Tensor:
    hidden = torch.ones(1, side, side, dtype=torch.bool)
    for place in visible:
        hidden[0][place] = False
    return hidden


def pictures() -> tuple[Tensor, Tensor]:
    images = torch.rand(3, 3, 8, 8, generator=generator(0, "floors"))
    return images, masks_of(IDS, 4, Masks(pattern="random", ratio=0.7, cell=2), seed=0)


@pytest.mark.parametrize("name", ALL)
def test_baselines_keep_visible_pixels(name: str) -> None:
    images, hidden = pictures()
    dark = in_pixels(hidden, 2)
    filled = ALL[name](images, hidden)
    assert filled.shape == images.shape
    assert 0 <= filled.min() <= filled.max() <= 1
    assert torch.equal(torch.where(dark, 0, filled), torch.where(dark, 0, images))
    assert torch.equal(ALL[name](torch.where(dark, 0.5, images), hidden), filled)
    assert torch.allclose(ALL[name](images[1:2], hidden[1:2]), filled[1:2], atol=1e-6)


def test_baselines() -> None:
    filled = mean_visible(greys([0.0, 0.4, 1.0], cell=2), mask((0, 0), (1, 1), (0, 2)))
    assert filled[0, 0, 5, 5].item() == pytest.approx((0.0 + 0.4 + 1.0) / 3)
    filled = nearest_visible(greys([0.0, 0.4, 1.0], cell=2), mask((0, 0), (2, 2)))
    assert filled[0, 0, 5, 2].item() == 1.0, "cell (2, 1) is next to (2, 2)"
    assert filled[0, 0, 2, 0].item() == 0.0
    assert filled[0, 0, 2, 2].item() == 0.0, "equal distances: the first"
    mean = torch.rand(1, 3, 8, 8, generator=generator(0, "mean"))
    images, hidden = pictures()
    assert torch.equal(paste(mean_patch(mean)(images, hidden), images, hidden), torch.where(in_pixels(hidden, 2), mean, images))
    # cell (0, 1) is 1 from (0, 0) of grey 0 and sqrt 5 from (2, 2) of grey 1: weights 1 and 1/5
    images, hidden = greys([0.0, 0.4, 1.0], cell=2), mask((0, 0), (2, 2))
    assert inverse_distance(images, hidden)[0, 1, 0, 2].item() == pytest.approx((1 / 5) / (1 + 1 / 5))
    filled = inverse_distance_pixels(greys([0.0, 0.4, 1.0]), hidden)
    assert filled[0, 1, 0, 1].item() == pytest.approx(5**-1.5 / (1 + 5**-1.5), rel=1e-5)


def test_scores() -> None:
    """A quarter is hidden, with an error of 0.5; the error of 0.1 elsewhere is removed by pasting."""
    images, hidden = torch.full((1, 3, 16, 16), 0.4), torch.zeros(1, 2, 2, dtype=torch.bool)
    hidden[0, 1, 1] = True
    predicted = torch.full_like(images, 0.5)
    predicted[..., 8:, 8:] = 0.9
    found = {name: value.item() for name, value in masked_score(predicted, images, hidden).items()}
    assert tuple(found) == COLUMNS
    assert found["mse_masked"] == pytest.approx(0.25, rel=1e-5)
    assert found["psnr_masked"] == pytest.approx(-10 * math.log10(0.25), rel=1e-5)
    assert found["psnr_pasted"] == pytest.approx(-10 * math.log10(0.25 / 4), rel=1e-5)
    assert found["psnr_full"] == pytest.approx(-10 * math.log10(0.25 / 4 + 0.01 * 3 / 4), rel=1e-5)
    assert masked_score(images, images, hidden)["psnr_masked"].item() == 100
