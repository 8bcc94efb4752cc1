"""Fixtures for all tests: the committed parameters, one thread, no tracking."""

import copy
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from relume.params import check

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("OMP_NUM_THREADS", "1")  # on toy tensors a second thread only costs time
os.environ["RELUME_TRACKING"] = "off"  # the tests of tracking turn it on for themselves
LONGEST = "test_pipeline.py"
_PARAMS = check(yaml.safe_load((ROOT / "params.yaml").read_text()))


@pytest.fixture
def default_params() -> dict[str, Any]:
    return copy.deepcopy(_PARAMS)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`toy`: 4 images of 64 px in each split. Read only."""
    from tests.evaluation_files import write_dataset  # torch reads OMP_NUM_THREADS once

    return write_dataset(tmp_path_factory.mktemp("data") / "toy", size=64)


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.evaluation_files import write_weights

    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def weights(random_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Random weights without the check against the pinned hashes; their own sha256 is still checked."""
    monkeypatch.setattr("relume.networks.weights.PINS", {})
    return random_weights


@pytest.fixture
def alive() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield int(server.getsockname()[1])


@pytest.fixture
def dead() -> int:
    """A port where no server listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first, so that parallel workers finish together."""
    items.sort(key=lambda item: item.path.name != LONGEST)
