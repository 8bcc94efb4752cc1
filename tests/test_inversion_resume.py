"""A killed run resumes to the same bits, inside a shard and between shards."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relume.core import checkpoint
from relume.core.checkpoint import Checkpoint
from relume.methods.optimise import infer as group
from relume.methods.optimise.optimise import Outcome, optimise
from relume.methods.optimise.optimizers import RULES
from relume.methods.optimise.path import KEPT
from tests.inversion_files import found, settings, work_in

Found = tuple[np.ndarray, list[Any], list[dict[str, Any]], list[dict[str, Any]]]
JITTER = {"kind": "jitter", "pixels": 2}
AFFINE = {"kind": "affine", "probability": 0.5, "degrees": 5.0, "translate": 0.02, "scale": [0.95, 1.05]}
PIXELS = {"kind": "pixels", "box": "projection"}
PRIOR = {"kind": "prior", "channels": 4, "levels": 2}
CHANGES: dict[str, dict[str, Any]] = {
    **{rule: {"optimiser": {"rule": rule}} for rule in RULES},
    "views": {"views": {"transforms": [JITTER, AFFINE], "ensemble": 2}, "trace_every": 2},
    "growth and switches": {"sizes": [[0, 32], [2, 48]], "switches": [[3, PIXELS]]},
    "growth, lbfgs": {"sizes": [[0, 32], [4, 48]], "optimiser": {"rule": "lbfgs"}},
    "prior, then pixels": {"parametrisation": PRIOR, "switches": [[4, PIXELS]]},
    "pyramid": {"parametrisation": {"kind": "pyramid", "levels": 3}},
    "free pixels": {"parametrisation": {"kind": "pixels", "box": "none"}},
    "patience": {"stop": {"patience": 3, "tolerance": 0.3}, "steps": 30},
    "restarts": {"restarts": 2},
}


class Killed(Exception):
    """Stands for a kill."""


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "load", found)
    monkeypatch.setattr(checkpoint, "EVERY", -1.0)


def killed_at(step: int) -> group.Watch:
    def watch(now: int, values: Any, sheet: Any) -> None:
        if now >= step:
            raise Killed

    return watch


def same(found: Found, wanted: Found) -> None:
    assert np.array_equal(found[0], wanted[0])
    assert found[1] == wanted[1]
    assert found[2] == wanted[2]
    assert [row["step"] for row in found[3]] == [row["step"] for row in wanted[3]]


@pytest.mark.parametrize("name", CHANGES)
def test_resume_gives_the_same_bits(default_params: dict[str, Any], tmp_path: Path, name: str) -> None:
    """Killed three times in the first of two shards, also after its last step, and once in the second."""
    config = settings(default_params, **{"steps": 6, **CHANGES[name]})
    whole = group.invert(work_in(tmp_path / "whole", config))
    for step in (2, 4, config.steps, config.steps + 3):
        with pytest.raises(Killed):
            group.invert(work_in(tmp_path / "halted", config, watch=killed_at(step)))
    assert list((tmp_path / "halted" / "scratch").glob("*.part.safetensors"))
    same(group.invert(work_in(tmp_path / "halted", config)), whole)
    assert not list((tmp_path / "halted" / "scratch").glob("*.part.safetensors"))
    kept = [sorted((tmp_path / name / "scratch").glob(f"*{KEPT}")) for name in ("whole", "halted")]
    assert len(kept[0]) == 2 * config.restarts
    assert [file.read_bytes() for file in kept[0]] == [file.read_bytes() for file in kept[1]]


def test_finished_shards_are_kept(default_params: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = settings(default_params)
    whole = group.invert(work_in(tmp_path / "whole", config))
    calls: list[int] = []

    def counted(*arguments: Any, **options: Any) -> Outcome:
        calls.append(0)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return optimise(*arguments, **options)

    monkeypatch.setattr(group, "optimise", counted)
    with pytest.raises(KeyboardInterrupt):
        group.invert(work_in(tmp_path / "halted", config))
    same(group.invert(work_in(tmp_path / "halted", config)), whole)
    assert len(calls) == 3


def test_checkpoint_round_trip(tmp_path: Path) -> None:
    log: list[dict[str, Any]] = [{"step": 0, "terms": {"tv": [0.1 + 0.2, 2]}}]
    tensors = {"code": torch.rand(2, 3).T, "step": torch.tensor(4.0), "resting": torch.tensor([True, False])}
    Checkpoint(tmp_path / "a.safetensors", log).write(tensors, {"step": 3, "at": (0, 64)})
    other: list[dict[str, Any]] = [{"step": 9}]
    read = Checkpoint(tmp_path / "a.safetensors", other).read()
    assert read is not None
    assert other == log
    assert read[1] == {"step": 3, "at": [0, 64]}
    assert all(torch.equal(read[0][name], tensor) for name, tensor in tensors.items())
    assert Checkpoint(tmp_path / "none.safetensors", other).read() is None
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]
