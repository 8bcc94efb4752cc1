"""Embeddings: statistics by hand and by scipy, bias and scatter that add up, and the benchmark on tiny pictures."""

from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from click.testing import CliRunner, Result

from benchmarks.clouds import DISTANCES, compared, cosine, project, relative_l2, same_trunk, scatter, statistics
from benchmarks.embeddings import main
from relume.core.files import read_csv, read_json
from relume.core.images import save_png
from relume.evaluation.comparison import COMPARISONS
from relume.networks import network as networks
from tests.evaluation_files import row, write_dataset, write_reconstructions


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_statistics_by_hand_and_by_scipy():
    found = statistics(torch.tensor([[3.0, -4.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]))
    wanted = {"negative_share": [0.25, 0], "zero_share": [0.5, 0.75], "mean": [-0.25, 0.25], "norm": [5, 1]}
    assert {name: found[name].tolist() for name in wanted} == wanted
    assert found["cosine"].tolist() == pytest.approx([-0.8, -0.8])
    e = normal(3, 50).exp()
    assert statistics(e)["excess_kurtosis"].tolist() == pytest.approx(scipy.stats.kurtosis(e.numpy(), axis=1).tolist())
    constant = statistics(torch.stack([torch.zeros(5), torch.ones(5)]))
    assert all(torch.isfinite(values).all() for values in constant.values())
    assert statistics(normal(1, 6).expand(4, 6))["cosine"].tolist() == pytest.approx([1.0] * 4), "identical ones"


def test_distances_by_hand():
    a, b, truth = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 4.0]]), torch.tensor([[0.0, 6.0]])
    assert relative_l2(a, b, truth).tolist() == [0.5]
    assert cosine(a, b, truth).tolist() == pytest.approx([0.2])


def test_squared_errors_are_bias_and_scatter():
    truth, m = normal(1, 7, seed=1).expand(2, 7).contiguous(), 4
    cloud = normal(2, m, 7, seed=2)
    t = truth[:, None]
    one = relative_l2(cloud, t, t).square().mean(1)
    found = scatter(cloud, truth)["relative_l2"]
    scattered = found["unbiased"].square() * (m - 1)  # mean over k of |r_k - r|^2 / |t|^2
    assert torch.allclose(one, found["mean"].square() + scattered)


def test_equal_reconstructions_do_not_scatter():
    truth = normal(2, 5)
    found = scatter(truth.flip(0)[:, None].expand(2, 2, 5), truth)
    assert set(found) == set(DISTANCES)
    for values in found.values():
        assert values["spread"].abs().max() < 1e-6
        assert torch.allclose(values["one"], values["mean"], atol=1e-6)
        assert torch.allclose(values["other"], values["one"]), "a reconstruction that is the other picture"


def test_a_plane_keeps_the_distances_of_points_that_lie_in_one():
    flat = normal(6, 2) @ normal(2, 9, seed=1)
    assert torch.allclose(torch.cdist(project(flat), project(flat)), torch.cdist(flat, flat))
    assert project(flat[:1]).tolist() == [[0, 0]]


def test_nothing_is_proved_within_a_network():
    assert same_trunk("alexnet", "alexnet_conv")
    assert not same_trunk("vgg16_conv", "alexnet_conv")
    line = compared({}, torch.ones(3), torch.zeros(3), ["a", "b", "c"], seed=0, proves=False)
    assert (line["diff"], line["lo"], line["hi"]) == (1, None, None)


@pytest.fixture
def noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(networks, "load", lambda name, store, device: networks.random(name))
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (4, 40, 36, 3), dtype=np.uint8)):
        save_png(tmp_path / "noise" / f"{number}.png", pixels)
    write_dataset(tmp_path / "toy")
    return tmp_path / "noise"


def group(restarts: int) -> None:
    rows = [row("s0", f"test{n}", restart=restart, selected=restart == 0) for n in range(3) for restart in range(restarts)]
    images = np.random.default_rng(1).integers(0, 256, (len(rows), 32, 32, 3), dtype=np.uint8)
    write_reconstructions(Path("groups/s0"), rows, images)


def call(folder: Path, *more: str) -> Result:
    flags = ["--size", "32", "--device", "cpu", "--out", "out/embeddings.csv"]
    flags += [flag for name in ("alexnet_conv", "efficientnet_lite0") for flag in ("--network", name)]
    return CliRunner().invoke(main, ["--folder", str(folder), *flags, "--group", "groups/s0", *more])


@pytest.mark.slow
def test_the_benchmark_answers_both_questions(noise: Path):
    group(restarts=2)
    refused = call(noise)
    assert refused.exit_code == 1
    assert "--images" in refused.output
    result = call(noise, "--images", "toy")
    assert result.exit_code == 0, result.output
    table = read_csv(Path("out/embeddings.csv"))
    assert tuple(table[0]) == COMPARISONS
    relu = {(line["network"], line["metric"]): line for line in table if line["question"] == "last_relu"}
    for name in ("alexnet_conv", "efficientnet_lite0"):
        assert float(relu[name, "negative_share"]["mean_a"]) == 0
        assert float(relu[name, "negative_share"]["mean_b"]) > 0
        assert relu[name, "norm"]["n"] == "4"
    scattered = [line for line in table if line["question"].startswith("scatter of s0")]
    assert {line["metric"] for line in scattered} == {"relative_l2", "cosine"}
    assert {(line["n"], line["sources"]) for line in scattered} == {("3", "2")}
    assert all((line["lo"] == "") == (line["network"] == "alexnet_conv") for line in scattered)  # its own trunk
    assert {"command", "commit", "data", "n", "device", "seconds"} == set(read_json(Path("out/embeddings.json")))
    assert all(Path(f"out/embeddings_{name}.jpg").stat().st_size > 0 for name in ("last_relu", "scatter"))


@pytest.mark.slow
def test_a_group_without_restarts_is_refused(noise: Path):
    group(restarts=1)
    result = call(noise, "--images", "toy")
    assert result.exit_code == 1
    assert "restarts" in result.output
