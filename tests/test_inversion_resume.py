"""Resume to the same bits, inside a shard and between shards; images along the way."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relume.core import checkpoint
from relume.core.images import to_uint8
from relume.methods.optimise import infer as group
from relume.methods.optimise import optimise as loop
from relume.methods.optimise.optimise import Outcome, optimise
from relume.methods.optimise.optimizers import RULES
from relume.methods.optimise.path import KEPT, followed, moments
from tests.inversion_files import found, settings, solve, work_in

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


SHAKEN = {"kind": "latent", "space": "w", "start": "random", "noise": False, "w_noise": 0.5}
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "a view": {"views": {"transforms": [{"kind": "jitter", "pixels": 2}], "ensemble": 2}, "trace_every": 2},
    "growth, then free pixels": {"sizes": [[0, 32], [2, 48]], "switches": [[3, {"kind": "pixels", "box": "none"}]]},
    "a latent that is shaken": {"parametrisation": SHAKEN},
}


@pytest.mark.parametrize("case", CASES)
def test_saving_images_changes_nothing(default_params: dict[str, Any], monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    config = settings(default_params, steps=7, **{"trace_every": 3, **CASES[case]})
    looked, told = solve(config)
    monkeypatch.setattr(loop, "moments", lambda steps: [steps])
    plain, heard = solve(config)
    assert (looked.path.shape[1], plain.path.shape[1]) == (4, 1)
    assert torch.equal(looked.images, plain.images)
    assert torch.equal(looked.objective, plain.objective)
    for one, other in zip(told, heard, strict=True):
        assert torch.equal(one.images, other.images)
        assert all(torch.equal(value, other.terms[name]) for name, value in one.terms.items())
    assert np.array_equal(looked.path[:, -1].numpy(), to_uint8(looked.images))


def test_saved_image_equals_a_shorter_run(default_params: dict[str, Any]) -> None:
    """With steps so large that the best is not the last."""
    rough = {"optimiser": {"learning_rate": [[0, 3.0]]}}
    whole, _ = solve(settings(default_params, steps=12, **rough))
    for place, steps in enumerate(moments(12)):
        short, _ = solve(settings(default_params, steps=steps, **rough))
        assert np.array_equal(whole.path[:, place].numpy(), to_uint8(short.images))


def test_saved_image_of_unmeasured_steps(default_params: dict[str, Any]) -> None:
    """Under random views, and while it grows."""
    for change in ({"views": {"transforms": [{"kind": "jitter", "pixels": 2}], "ensemble": 1}}, {"sizes": [[0, 32], [4, 48]]}):
        every, _ = solve(settings(default_params, steps=5, trace_every=5, **change))
        _, told = solve(settings(default_params, steps=5, trace_every=1, **change))
        assert np.array_equal(every.path[:, 1].numpy(), to_uint8(told[2].images))


def test_converged_rows_keep_their_image(default_params: dict[str, Any]) -> None:
    made, told = solve(settings(default_params, steps=100, stop={"patience": 3, "tolerance": 0.3}))
    assert told[-1].step < 50
    assert made.path.shape[1] == len(moments(100))
    assert np.array_equal(made.path[:, -2].numpy(), made.path[:, -1].numpy())


def test_group_saves_the_selected_restart(
    default_params: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "load", found)
    monkeypatch.setattr(group, "FOLLOWED", 3)
    work = work_in(tmp_path, settings(default_params, restarts=2, init={"std": 0.2}))
    images, rows, _, _ = group.invert(work)
    ids = list(dict.fromkeys(row.id for row in rows))
    way = followed("toy", ids, work.config.steps, work.scratch)
    assert way.rows == [{"method": "toy", "id": id, "step": step} for id in ids[:3] for step in (1, 2, 5)]
    assert np.array_equal(way.images[2::3], images[[row.selected for row in rows]][:3])
    assert not np.array_equal(way.images[0], way.images[2])
