"""A killed run goes on: within a shard to the same bits, whatever its rule, its views and its spaces; finished shards stay."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from relume.core import checkpoint
from relume.core.checkpoint import Checkpoint
from relume.methods.optimise import infer as group
from relume.methods.optimise.optimise import Outcome, optimise
from relume.methods.optimise.optimizers import RULES
from relume.methods.optimise.path import KEPT
from tests.inversion_files import found, settings, work_in

ROOT = Path(__file__).resolve().parents[1]
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
    """What a kill looks like from inside."""


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
def test_a_killed_run_goes_on_to_the_same_bits(default_params: dict[str, Any], tmp_path: Path, name: str) -> None:
    """Killed three times in its first shard of two, the last time as it tells of its end, and once in the second."""
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


def test_finished_shards_are_not_computed_again(
    default_params: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_a_checkpoint_gives_back_what_it_was_given(tmp_path: Path) -> None:
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


SCRIPT = """
import os, signal, sys
from pathlib import Path
import torch, yaml
from relume.core import checkpoint
from relume.methods.optimise import infer as run
from tests.inversion_files import found, settings, work_in
torch.set_num_threads(int(sys.argv[2]))
checkpoint.EVERY, run.load = -1.0, found
def watch(step, values, sheet):
    if step == 4:
        os.kill(os.getpid(), signal.SIGKILL)
base = yaml.safe_load(Path("params.yaml").read_text())
run.invert(work_in(Path(sys.argv[1]), settings(base, optimiser={"rule": "lbfgs"}), watch=watch))
"""


@pytest.mark.slow
def test_a_process_that_was_killed_with_9_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "halted"), str(torch.get_num_threads())]
    path = f"{ROOT / 'src'}:{ROOT}"
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, check=False)
    assert done.returncode == -signal.SIGKILL
    config = settings(yaml.safe_load((ROOT / "params.yaml").read_text()), optimiser={"rule": "lbfgs"})
    told: list[int] = []
    again = group.invert(work_in(tmp_path / "halted", config, watch=lambda step, values, sheet: told.append(step)))
    assert told[0] == 4
    same(again, group.invert(work_in(tmp_path / "whole", config)))
