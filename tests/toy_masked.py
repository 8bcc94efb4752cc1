"""Toy masked models on disk, with random weights."""

from pathlib import Path
from typing import Any

from relume.data.store import Dataset
from relume.methods.masked.train import card, sheet
from relume.training.models import Trained, write_model
from tests.test_masked_stages import lesson


def write_masked(folder: Path, data: Dataset, kind: str, name: str = "", **differences: Any) -> None:
    """`folder`/<name>: one of the models of `test_masked_stages`, called by its own name where no other is given."""
    found = lesson(data, kind, **differences)
    tensors = found.model.state_dict()
    trained = Trained(best=tensors, last=tensors, best_step=1, metrics={}, history=[], timing=[], progress=None)
    write_model(folder / (name or kind), trained, {**card(found), "name": name or kind}, sheet(found))
