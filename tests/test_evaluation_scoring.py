"""Scores of a group: networks with random weights, known values for perfect and inverted images, faults, paths."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relume.core.errors import UserError
from relume.core.files import write_csv, write_json
from relume.core.images import to_float
from relume.core.results import TIMING, Descent, Group, Row, read_descent, read_group, write_group
from relume.data.store import Dataset
from relume.evaluation.config import PATHS, TIMED_PATHS
from relume.evaluation.evidence import gather_paths
from relume.evaluation.metrics import METRICS
from relume.evaluation.paths import path_rows
from relume.evaluation.perceptual import FeatureExtractor, extractor
from relume.evaluation.pixel import psnr
from relume.evaluation.scoring import COLUMNS, Scorer, inverted, read_scales, score
from relume.networks import network as networks
from relume.networks.weights import WeightStore
from tests.evaluation_files import row, write_dataset, write_reconstructions

CPU = torch.device("cpu")
ALL = tuple(name for name in METRICS if name != "lpips_squeeze")  # whose network is compared with the lpips package's


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return write_dataset(tmp_path / "images" / "toy")


@pytest.fixture
def features(tmp_path: Path) -> Path:
    taps = {name: {"msd": msd, "cached": False} for name, msd in (("conv2", 2.0), ("conv5", 0.5))}
    write_json(tmp_path / "features" / "toy" / "alexnet_conv" / "stats.json", {"taps": taps, "pictures": 12, "kept": None})
    return tmp_path / "features" / "toy"


def group(folder: Path, rows: list[Row], images: np.ndarray) -> Group:
    write_reconstructions(folder, rows, images)
    return read_group(folder)


def scorer(data: Dataset, weights: Path, features: Path, of: Group, metrics: Iterable[str] = ALL, **other: Any) -> Scorer:
    kinds = inverted(of)
    networks = extractor(metrics, [kind[1:] for kind in kinds], WeightStore(weights), CPU)
    scales = read_scales(kinds, {"toy": features})
    plain = {"micro_batch": 2, "device": CPU, "metrics": tuple(metrics), "scales": scales}
    return Scorer(datasets={"toy": data}, extractor=networks, **{**plain, **other})


def test_rows_are_scored_against_their_originals(tmp_path: Path, data: Dataset, weights: Path, features: Path):
    """Perfect and inverted images over methods, restarts and taps."""
    ids = data.ids([0, 1, 2, 3])
    originals = data.images[:4]
    rows = [row("same", id) for id in reversed(ids)] + [row("wrong", id, tap="conv2+conv5", restart=1) for id in ids]
    images = np.concatenate([originals[::-1], 255 - originals])
    done: list[int] = []
    found = group(tmp_path / "g", rows, images)
    scored = score(found, scorer(data, weights, features, found), done.append)
    assert sum(done) == 8
    assert [(line["method"], line["id"]) for line in scored] == [(entry.method, entry.id) for entry in rows]
    perfect = {"mse": 0, "psnr": 100, "ssim": 1, "lpips_alex": 0, "lpips_vgg": 0, "feature_error": 0}
    for line in scored[:4]:
        assert {name: line[name] for name in perfect} == pytest.approx(perfect, abs=1e-5)
        assert np.isnan(line["ms_ssim"])  # 32 px
    net = networks.load("alexnet_conv", WeightStore(weights))
    look = FeatureExtractor(networks={"alexnet_conv": net}, taps={"alexnet_conv": ("conv2", "conv5")}, heads={})
    for at, line in enumerate(scored[4:]):
        x, y = to_float(images[4 + at : 5 + at]), to_float(originals[at : at + 1])
        here, there = (look.look(pixels, ["alexnet_conv"])["alexnet_conv"] for pixels in (x, y))
        error = sum((here[tap] - there[tap]).square().sum() / msd for tap, msd in (("conv2", 2.0), ("conv5", 0.5))) / 2
        assert line["feature_error"] == pytest.approx(float(error), rel=1e-4)
        assert line["psnr"] == pytest.approx(psnr(x, y).item(), abs=1e-4)


def test_micro_batches_and_loaded_networks(tmp_path: Path, data: Dataset, weights: Path, features: Path) -> None:
    ids = data.ids([0, 1, 2])
    rows = [row("m", id, restart=restart, selected=restart == 0) for restart in (0, 1) for id in ids]
    found = group(tmp_path / "g", rows, 255 - data.images[[0, 1, 2, 3, 4, 5]])
    few, many = (score(found, scorer(data, weights, features, found, micro_batch=size)) for size in (1, 8))
    for a, b in zip(few, many, strict=True):
        assert {k: a[k] for k in ALL} == pytest.approx({k: b[k] for k in ALL}, rel=1e-4, nan_ok=True)
    found = group(tmp_path / "g", [row("m", "test0")], data.images[:1])
    tools = scorer(data, tmp_path / "no weights", features, found, ["psnr", "ssim"])
    assert set(score(found, tools)[0]) - {"psnr", "ssim"} == set(COLUMNS) - set(METRICS)
    with pytest.raises(UserError, match=r"\(16, 16, 3\)"):
        score(replace(found, images=found.images[:, :16, :16]), tools)
    floor = group(tmp_path / "f", [row("floor", "test0", family="floor", network="", tap="")], data.images[:1])
    assert "feature_error" not in score(floor, scorer(data, weights, features, floor))[0]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (row("m", "test9"), "'test9'"),
        (row("m", "test1", dataset="toys"), "'toys'.*'toy'"),
        (row("m", "test1", size=64), "64.* 32"),
        (row("m", "test0"), "m, test0, toy"),
    ],
)
def test_faults(tmp_path: Path, data: Dataset, features: Path, entry: Row, message: str):
    found = group(tmp_path / "g", [row("m", "test0"), entry], data.images[:2])
    with pytest.raises(UserError, match=f"line 3.*{message}"):
        score(found, plain_scorer(data, tmp_path, "psnr"))


IDS = ["test0", "test1"]


@pytest.fixture
def folder(tmp_path: Path, data: Dataset) -> Path:
    """`walks` in two restarts, the second of which is selected, and `leaps`, without steps."""
    rows = [row("walks", id, restart=restart, selected=restart == 1) for id in IDS for restart in (0, 1)]
    rows += [row("leaps", id, network="", tap="", restart=restart, selected=restart == 0) for restart in (0, 1) for id in IDS]
    images = np.stack([data.images[0], ends(data)[0], data.images[1], ends(data)[1], *data.images[:2], *begins(data)])
    steps = [{"method": "walks", "id": id, "step": step} for id in reversed(IDS) for step in (1, 2)]
    pictures = np.stack([begins(data)[1], ends(data)[1], begins(data)[0], ends(data)[0]])
    write_group(tmp_path / "g", images=images, rows=rows, method={}, descent=Descent(images=pictures, rows=steps))
    return tmp_path / "g"


def begins(data: Dataset) -> np.ndarray:
    return 255 - data.images[:2]


def ends(data: Dataset) -> np.ndarray:
    return data.images[:2] // 2


def plain_scorer(data: Dataset, weights: Path, *metrics: str) -> Scorer:
    networks = extractor(metrics, [], WeightStore(weights), CPU)
    return Scorer(datasets={"toy": data}, extractor=networks, scales={}, metrics=metrics, micro_batch=3, device=CPU)


def table(found: Group, tools: Scorer, *metrics: str) -> list[dict[str, Any]]:
    return path_rows(found, read_descent(found.folder), score(found, tools), tools, metrics)


def test_paths(folder: Path, data: Dataset, weights: Path) -> None:
    tools = plain_scorer(data, weights, "mse", "psnr", "lpips_alex")
    rows = table(read_group(folder), tools, "psnr", "lpips_alex")
    assert all(set(line) < set(PATHS) for line in rows), "lpips_vgg was not asked for"
    assert [(line["method"], line["step"], line["n"], line["tap"]) for line in rows] == [
        ("walks", 1, 2, "conv2"),
        ("walks", 2, 2, "conv2"),
        ("leaps", 1, 2, ""),
    ]
    y = to_float(data.images[:2])
    wanted = [float(psnr(to_float(x), y).mean()) for x in (begins(data), ends(data))]
    assert [line["psnr"] for line in rows] == pytest.approx([*wanted, 100], rel=1e-6)
    assert rows[0]["lpips_alex"] > rows[2]["lpips_alex"] == pytest.approx(0, abs=1e-6)
    own = [line for line in score(read_group(folder), tools) if line["method"] == "walks"]
    assert rows[1]["lpips_alex"] == pytest.approx((own[1]["lpips_alex"] + own[3]["lpips_alex"]) / 2), "the restart selected"
    tools = plain_scorer(data, folder, "psnr")
    assert table(read_group(folder), tools) == []
    (folder / "path.csv").write_text("method,id,step\n" + "walks,test9,1\n" * 4)
    with pytest.raises(UserError, match=r"path\.csv.* test9"):
        table(read_group(folder), tools, "psnr")
    (folder / "path.csv").unlink()
    with pytest.raises(UserError, match=r"path\.csv is missing"):
        table(read_group(folder), tools, "psnr")


def test_paths_with_seconds(folder: Path) -> None:
    """`walks` took 6 s for two pictures, evenly over 10 steps; `leaps` half a second for both at once; `still` was not timed."""
    root = folder.parent
    timing = [("walks", 0, 0.0), ("walks", 10, 6.0), ("leaps", 0, 0.5)]
    write_csv(folder / "timing.csv", TIMING, [dict(zip(TIMING, row, strict=True)) for row in timing])
    points = [("walks", 1, 20.0), ("walks", 5, 21.0), ("leaps", 1, 10.0), ("still", 1, 5.0)]
    rows = [
        {"method": name, "task": "feature", "dataset": "toy", "step": step, "n": 2, "psnr": psnr} for name, step, psnr in points
    ]
    write_csv(root / "paths/g.csv", PATHS, rows)
    table = gather_paths(["g"], root / "paths", root)
    assert all(tuple(sorted(row)) == tuple(sorted(TIMED_PATHS)) for row in table)
    assert [(row["method"], row["step"], row["psnr"]) for row in table] == [(n, str(s), f"{v:g}") for n, s, v in points]
    assert [row["seconds"] for row in table] == ["0.3", "1.5", "0.25", ""], "per image"
    with pytest.raises(UserError, match=r"paths/h\.csv"):
        gather_paths(["g", "h"], root / "paths", root)
    with pytest.raises(UserError, match=r"not in compare\.groups"):
        gather_paths([], root / "paths", root)
