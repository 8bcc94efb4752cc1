"""What every test may use: the committed parameters, few threads, no tracking."""

import copy
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("OMP_NUM_THREADS", "1")  # on toys two threads wait for each other, badly where others work
os.environ["RELUME_TRACKING"] = "off"  # the tests of tracking turn it on for themselves
LONGEST = "test_pipeline.py"
_PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())


@pytest.fixture
def default_params() -> dict[str, Any]:
    return copy.deepcopy(_PARAMS)


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.evaluation_files import write_weights  # torch, which reads OMP_NUM_THREADS once

    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def weights(random_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Random weights are not the pinned ones; their card still holds them to their sha256."""
    monkeypatch.setattr("relume.networks.weights.PINS", {})
    return random_weights


@pytest.fixture
def alive() -> Iterator[int]:
    """A port that takes a call and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield int(server.getsockname()[1])


@pytest.fixture
def dead() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first, so that the other processes have something to do meanwhile."""
    items.sort(key=lambda item: item.path.name != LONGEST)
