"""Removed feature maps, with a decoder that reads one channel."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from torch import Tensor

from relume.core.errors import UserError
from relume.core.files import read_csv
from relume.core.images import to_float, to_uint8
from relume.data.store import Dataset
from relume.evaluation.config import Maps
from relume.evaluation.maps import Bench, blank, contribution, examine, parts, signs, study, variants
from relume.evaluation.maps_table import CHANNELS, Draws, columns, write
from relume.evaluation.perceptual import FeatureExtractor
from relume.evaluation.pixel import psnr
from relume.methods.decoder.infer import codecs
from relume.methods.decoder.model import read_decoder
from relume.networks import network as networks
from relume.networks.taps import collect
from stages import maps
from tests import stage_files as files
from tests.decoder_files import CPU, Store, dataset, write_decoder
from tests.evaluation_files import write_dataset

EYES = FeatureExtractor(networks={}, taps={}, heads={})
SIZE = 16


def config(**other: Any) -> Maps:
    plain: dict[str, Any] = {"dataset": "toy", "split": "test", "count": None, "decoders": ("toy",), "groups": 4, "fill": "mean"}
    plain |= {"rankings": ("activation", "contribution"), "pictures": 4, "probes": 2, "shown": 2}
    return Maps(**(plain | {"metrics": ("mse", "psnr", "ssim")} | other))


@dataclass
class Toy:
    """Channel 0 is 3 times the image's grey; the decoder does not read the other channels."""

    data: Dataset
    name: str = "toy"
    network: str = "alexnet_conv"
    tap: str = "conv1"
    decoded: list[int] = field(default_factory=list)

    def encode(self, rows: Sequence[int]) -> Tensor:
        grey = self.data.pixels(list(rows)).mean(1, keepdim=True)  # (N, 1, h, w)
        return torch.cat([3 * grey, *(grey.flip(2) / number for number in range(2, 9))], dim=1)  # (N, 8, h, w)

    def decode(self, features: Tensor) -> Tensor:
        self.decoded.append(len(features))
        return (features[:, :1] / 3).expand(-1, 3, -1, -1)


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return write_dataset(tmp_path / "toy", size=SIZE)


def bench(data: Dataset, **other: Any) -> Bench:
    return Bench(dataset=data, config=config(**other), extractor=EYES, seed=0, micro_batch=3, device=CPU)


def test_rankings_find_the_channel_that_matters(data: Dataset) -> None:
    found = examine(Toy(data), bench(data))
    assert found.scores["activation"].argmax() == found.scores["contribution"].argmax() == 0
    assert found.scores["contribution"][1:].abs().max() == 0
    grey = data.pixels(data.select("train")).mean(1)
    assert found.mean[0] == pytest.approx(3 * float(grey.mean()), rel=1e-6)
    assert found.scores["activation"][1:] == pytest.approx(found.mean[1:])
    assert list(examine(Toy(data), bench(data, rankings=("activation",))).scores) == ["activation"]
    with pytest.raises(UserError, match=r"maps\.groups: .*got 4"):
        parts(torch.zeros(3), 4)
    assert blank(found.mean, "mean") is found.mean
    assert not blank(found.mean, "zero").any()
    toy, table = Toy(data), bench(data)
    outcome = study(toy, table)
    intact = outcome.scores["mse"][0]
    mean = float(examine(toy, table).mean[0]) / 3
    flat = (data.pixels(data.select("test")) - mean).square().flatten(1).mean(1).numpy()
    for at, variant in enumerate(outcome.variants):
        lost = (variant.action, variant.group == 1) in (("removed", True), ("kept", False))
        assert outcome.scores["mse"][at] == pytest.approx(flat if lost else intact, abs=2e-3)  # 8 bits
    assert outcome.pictures.shape == (1 + 2 * 3 * 4, 2, SIZE, SIZE, 3)
    assert (outcome.pictures[1] == outcome.pictures[1, :, :1, :1]).all(), "the mean everywhere"
    assert (outcome.originals == data.images[data.select("test")[:2]]).all()


@pytest.mark.parametrize("groups", [2, 3, 5, 8])
def test_groups_partition_the_channels(groups: int) -> None:
    scores = {"a": torch.tensor([0.1, 5.0, 3.0, 3.0, 0.0, 2.0, 9.0, 1.0]), "b": torch.arange(8.0)}
    cut = parts(scores["a"], groups)
    assert torch.cat(cut).tolist() == [6, 1, 2, 3, 5, 7, 0, 4], "falling scores, stable"
    assert max(map(len, cut)) - min(map(len, cut)) <= 1
    intact, *found = variants(scores, groups)
    assert (intact.action, bool(intact.kept.all())) == ("intact", True)
    for ranking in scores:
        by = {(one.action, one.group): one.kept for one in found if one.ranking == ranking}
        assert torch.stack([by["kept", group] for group in range(1, groups + 1)]).sum(0).tolist() == [1] * 8
        assert bool(by["first", groups].all())
        for group in range(1, groups + 1):
            assert torch.equal(by["removed", group], ~by["kept", group])
            together = torch.stack([by["kept", k] for k in range(1, group + 1)]).any(0)
            assert torch.equal(by["first", group], together)


@pytest.mark.parametrize("vector", [False, True])
def test_contribution_of_a_linear_decoder(vector: bool) -> None:
    """A linear decoder has no higher orders: the mean over many signs approximates the change."""
    generator = torch.Generator().manual_seed(1)
    shape = (2, 4) if vector else (2, 4, 3, 3)
    x, fill = torch.rand(shape, generator=generator), torch.rand(4, generator=generator)
    matrix = torch.randn(x[0].numel(), 3 * 8 * 8, generator=generator)

    def decode(f: Tensor) -> Tensor:
        return (f.flatten(1) @ matrix).view(-1, 3, 8, 8)

    probes = torch.stack([signs(0, name, 4000, 8) for name in "ab"], dim=1)
    found = contribution(x, fill, decode, probes)
    for channel in range(4):
        without = x.clone()
        without[:, channel] = fill[channel]
        change = (decode(x) - decode(without)).square().flatten(1).mean(1)
        assert torch.allclose(found[:, channel], change, rtol=0.15)


def test_tables_and_sheet(data: Dataset, tmp_path: Path) -> None:
    write(tmp_path / "none", [], bench(data), Draws(seed=0, resamples=1000, level=0.95))
    assert read_csv(tmp_path / "none/maps.csv") == read_csv(tmp_path / "none/channels.csv") == [], "without decoders"
    out, told = tmp_path / "maps", list[int]()
    write(out, [Toy(data)], bench(data), Draws(seed=0, resamples=1000, level=0.95), told.append)
    assert sum(told) == 4
    assert sorted(path.name for path in out.iterdir()) == ["channels.csv", "maps.csv", "toy.jpg"]
    table = read_csv(out / "maps.csv")
    assert tuple(table[0]) == columns(("mse", "psnr", "ssim"))
    assert len(table) == 1 + 2 * 3 * 4
    by = {(row["ranking"], row["action"], row["group"]): row for row in table}
    intact, removed, weakest = table[0], by["activation", "removed", "1"], by["activation", "removed", "4"]
    assert (intact["action"], intact["psnr_change"], intact["channels"]) == ("intact", "", "8")
    assert (removed["channels"], removed["n"], removed["sources"], removed["fill"]) == ("6", "4", "2", "mean")
    assert float(removed["psnr_change"]) == pytest.approx(float(removed["psnr"]) - float(intact["psnr"]), abs=1e-4)
    assert float(removed["psnr_change_lo"]) <= float(removed["psnr_change"]) <= float(removed["psnr_change_hi"]) < 0
    assert [weakest[f"psnr_change{end}"] for end in ("", "_lo", "_hi")] == ["0", "0", "0"]
    assert [tuple(row) for row in read_csv(out / "channels.csv")] == [CHANNELS] * 8
    again = tmp_path / "again"
    write(again, [Toy(data)], bench(data), Draws(seed=0, resamples=1000, level=0.95))
    assert all((out / name).read_bytes() == (again / name).read_bytes() for name in ("maps.csv", "channels.csv", "toy.jpg"))


DECODERS = {"deep": ["conv5"], "vector": ["pool"], "both": ["conv5", "conv2"]}
METRICS = ("psnr", "ssim", "lpips_alex", "lpips_vgg")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    data = dataset(tmp_path / "data/images")
    for name, taps in DECODERS.items():
        write_decoder(tmp_path / "models/decoder" / name, data, taps)
    return files.project(tmp_path, monkeypatch, {"maps": {}}, data=data)


def run(out: str = "metrics/maps", **differences: Any) -> Result:
    section = asdict(config(groups=2, pictures=2, probes=1, metrics=METRICS, shown=1, count=3)) | differences
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in section.items()}
    files.write_params({"run": files.RUN, "maps": plain, "compare": {"resamples": 1000, "level": 0.95}})
    return files.run(maps, weights="models/weights", models="models/decoder", out=out)


def test_stage(project: Path) -> None:
    done = run(decoders=["deep", "vector"])
    assert done.exit_code == 0, done.output
    table = read_csv(project / "metrics/maps/maps.csv")
    assert [(row["decoder"], row["tap"], row["n"]) for row in table] == [("deep", "conv5", "3")] * 13 + [
        ("vector", "pool", "3")
    ] * 13
    changed = [row for row in table if row["action"] != "intact"]
    assert all(row["psnr_change_lo"] and row["lpips_vgg_change_hi"] for row in changed)
    assert {(row["lpips_alex_change"] != "", row["lpips_alex_change_lo"]) for row in changed} == {(True, "")}, "circular"
    data, decoder = Dataset.open(project / "data/images/toy"), read_decoder(project / "models/decoder/deep", CPU)
    images = data.pixels(data.select("test", 3))
    (one,) = codecs([project / "models/decoder/deep"], data, Store(), CPU)  # type: ignore[arg-type]
    for change in ({"size": 32}, {"shapes": {"conv5": [256, 2, 2]}}):
        with pytest.raises(UserError, match="deep"):
            replace(one, decoder=replace(one.decoder, card=one.decoder.card | change)).encode([0])
    with torch.no_grad(), collect(networks.random("alexnet_conv"), ["conv5"]) as tapped:
        pictures = to_float(to_uint8(decoder.module(tapped(images))))
    assert float(table[0]["psnr"]) == pytest.approx(float(psnr(pictures, images).mean()), abs=0.01)
