"""The notebooks run from top to bottom on toys; what they show was made by a whole run, and is small."""

import pickle
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest

from benchmarks.notebooks import FOLDER, NAMES, executed, kept
from tests.evaluation_files import write_dataset

TOY: dict[str, dict[str, Any]] = {
    "add_a_loss": {"WEIGHTS": [0.0, 1.0], "STEPS": 3},
    "add_a_network": {"STEPS": 3},
    "compare_layers": {"LAYERS": ["conv1", "pool"], "STEPS": 3},
    "embedding_leak": {"STEPS": 2},
    "own_cnn": {"TRAIN": 24, "EPOCHS": 1, "STEPS": 3, "SHOWN": 2},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Noise as CIFAR-10 in its official layout, and toy photographs for the guides."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(FOLDER.parents[1] / "src"))
    write_dataset(tmp_path / "cache/relume/images/photos", size=32, splits=("train",), each=8)
    sources = tmp_path / "data/sources/cifar-10-batches-py"
    sources.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for name in ("data_batch_1", "test_batch"):
        images = draw.integers(0, 256, (40, 3072), dtype=np.uint8)
        (sources / name).write_bytes(pickle.dumps({b"data": images, b"labels": draw.integers(0, 10, 40).tolist()}))
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_from_top_to_bottom(name: str, folder: Path) -> None:
    cells = [cell for cell in kept(executed(name, folder, TOY[name])).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    assert any("image/jpeg" in output.get("data", {}) for cell in cells for output in cell.outputs)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_notebook_shows_is_of_one_run_and_small(name: str) -> None:
    path = FOLDER / f"{name}.ipynb"
    assert path.stat().st_size < 500_000
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    assert not any(output.output_type == "error" for cell in cells for output in cell.outputs)
