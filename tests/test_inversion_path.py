"""Pictures on the way: which steps, that looking changes nothing, that they are what a shorter run gives."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relume.core.images import to_uint8
from relume.methods.optimise import infer as group
from relume.methods.optimise import optimise as loop
from relume.methods.optimise.path import followed, moments
from tests.inversion_files import found, settings, solve, work_in

SHAKEN = {"kind": "latent", "space": "w", "start": "random", "noise": False, "w_noise": 0.5}
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "a view": {"views": {"transforms": [{"kind": "jitter", "pixels": 2}], "ensemble": 2}, "trace_every": 2},
    "growth, then free pixels": {"sizes": [[0, 32], [2, 48]], "switches": [[3, {"kind": "pixels", "box": "none"}]]},
    "a latent that is shaken": {"parametrisation": SHAKEN},
}


@pytest.mark.parametrize("case", CASES)
def test_looking_changes_nothing(default_params: dict[str, Any], monkeypatch: pytest.MonkeyPatch, case: str) -> None:
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


def test_a_picture_on_the_way_is_what_a_shorter_run_gives(default_params: dict[str, Any]) -> None:
    """Each step so large that the best is not the last one."""
    rough = {"optimiser": {"learning_rate": [[0, 3.0]]}}
    whole, _ = solve(settings(default_params, steps=12, **rough))
    for place, steps in enumerate(moments(12)):
        short, _ = solve(settings(default_params, steps=steps, **rough))
        assert np.array_equal(whole.path[:, place].numpy(), to_uint8(short.images))


def test_what_was_not_measured_is_shown_as_it_is(default_params: dict[str, Any]) -> None:
    """Under random views, and while it grows."""
    for change in ({"views": {"transforms": [{"kind": "jitter", "pixels": 2}], "ensemble": 1}}, {"sizes": [[0, 32], [4, 48]]}):
        every, _ = solve(settings(default_params, steps=5, trace_every=5, **change))
        _, told = solve(settings(default_params, steps=5, trace_every=1, **change))
        assert np.array_equal(every.path[:, 1].numpy(), to_uint8(told[2].images))


def test_rows_at_rest_keep_their_picture(default_params: dict[str, Any]) -> None:
    made, told = solve(settings(default_params, steps=100, stop={"patience": 3, "tolerance": 0.3}))
    assert told[-1].step < 50
    assert made.path.shape[1] == len(moments(100)), "as if it had gone on"
    assert np.array_equal(made.path[:, -2].numpy(), made.path[:, -1].numpy())


def test_a_group_keeps_the_restart_that_is_selected(
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
