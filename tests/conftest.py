"""What every test may use: the committed parameters, few threads, no tracking."""

import copy
import os
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
    """The committed params.yaml, to be changed at will."""
    return copy.deepcopy(_PARAMS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first, so that the other processes have something to do meanwhile."""
    items.sort(key=lambda item: item.path.name != LONGEST)
