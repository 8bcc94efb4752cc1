"""Quality along the way: means by hand, one row for what is made in one pass, seconds of one picture."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relume.core.errors import UserError
from relume.core.files import write_csv
from relume.core.images import to_float
from relume.core.results import TIMING, Descent, Group, read_descent, read_group, write_group
from relume.data.store import Dataset
from relume.evaluation.config import PATHS, TIMED_PATHS
from relume.evaluation.evidence import gather_paths
from relume.evaluation.paths import path_rows
from relume.evaluation.perceptual import extractor
from relume.evaluation.pixel import psnr
from relume.evaluation.scoring import Scorer, score
from relume.networks.weights import WeightStore
from tests.evaluation_files import row, write_dataset, write_weights

CPU = torch.device("cpu")
IDS = ["test0", "test1"]


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return write_dataset(tmp_path / "images" / "toy")


@pytest.fixture
def folder(tmp_path: Path, data: Dataset) -> Path:
    """`walks` in two restarts, the second of which is selected, and `leaps`, which has no steps."""
    rows = [row("walks", id, restart=restart, selected=restart == 1) for id in IDS for restart in (0, 1)]
    rows += [row("leaps", id, network="", tap="") for id in IDS]
    images = np.stack([data.images[0], ends(data)[0], data.images[1], ends(data)[1], *data.images[:2]])
    steps = [{"method": "walks", "id": id, "step": step} for id in reversed(IDS) for step in (1, 2)]
    pictures = np.stack([begins(data)[1], ends(data)[1], begins(data)[0], ends(data)[0]])
    write_group(tmp_path / "g", images=images, rows=rows, method={}, descent=Descent(images=pictures, rows=steps))
    return tmp_path / "g"


def begins(data: Dataset) -> np.ndarray:
    return 255 - data.images[:2]


def ends(data: Dataset) -> np.ndarray:
    return data.images[:2] // 2


def scorer(data: Dataset, tmp_path: Path, *metrics: str) -> Scorer:
    networks = extractor(metrics, [], WeightStore(write_weights(tmp_path)), CPU)
    return Scorer(datasets={"toy": data}, extractor=networks, scales={}, metrics=metrics, micro_batch=3, device=CPU)


def table(found: Group, tools: Scorer, *metrics: str) -> list[dict[str, Any]]:
    return path_rows(found, read_descent(found.folder), score(found, tools), tools, metrics)


def test_means_by_hand(folder: Path, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relume.networks.weights.PINS", {})
    tools = scorer(data, tmp_path, "mse", "psnr", "lpips_alex")
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


def test_without_metrics_there_are_no_rows_and_a_path_to_nowhere_is_named(folder: Path, data: Dataset) -> None:
    tools = scorer(data, folder.parent, "psnr")
    assert table(read_group(folder), tools) == []
    (folder / "path.csv").write_text("method,id,step\n" + "walks,test9,1\n" * 4)
    with pytest.raises(UserError, match=r"path\.csv.* test9"):
        table(read_group(folder), tools, "psnr")
    (folder / "path.csv").unlink()
    with pytest.raises(UserError, match=r"path\.csv is missing"):
        table(read_group(folder), tools, "psnr")


def test_one_table_with_seconds_by_hand(folder: Path) -> None:
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
    assert [row["seconds"] for row in table] == ["0.3", "1.5", "0.25", ""], "one picture's"
    with pytest.raises(UserError, match=r"paths/h\.csv"):
        gather_paths(["g", "h"], root / "paths", root)
    with pytest.raises(UserError, match=r"not in compare\.groups"):
        gather_paths([], root / "paths", root)
    (root / "paths/g.csv").write_text("method\nwalks\n")
    with pytest.raises(UserError, match=r"g\.csv: column dataset"):
        gather_paths(["g"], root / "paths", root)
